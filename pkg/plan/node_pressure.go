package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// reportNodePressure reports a Node that is Ready and to which no pods go, or from which they are evicted. Nothing is
// done about it: the kubelet makes what room it can by itself, and a machine that is replaced takes the data on its
// disk with it.
func (p *planner) reportNodePressure(m *api.Machine, n Node) {
	if n.Pressure != "" {
		p.reportDrift(m.Name, api.DriftNodePressure, "its Node is Ready, and takes no pods: "+n.Pressure,
			pressureAdvice(n.Pressure, m.Name))
	}
}

// pressureAdvice is what a person can do about a pressure.
func pressureAdvice(pressure, machine string) string {
	const evicts = "only reported: the kubelet evicts pods until "
	switch {
	case strings.Contains(pressure, "DiskPressure"):
		return evicts + "5% of the disk is free; remove what fills the disk of " + machine +
			", or create a cluster with a larger --disk_size"
	case strings.Contains(pressure, "MemoryPressure"):
		return evicts + "100 MiB of memory are free; give its pods memory limits, or create a cluster with more " +
			"--memory"
	case strings.Contains(pressure, "PIDPressure"):
		return evicts + "there is room for processes; find the pod on " + machine + " that starts so many"
	}
	return "only reported: look at the pods of the cluster's network on " + machine +
		" (kubectl -n kube-system get pods -o wide)"
}
