package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// reportNodePressure reports a Ready Node that takes no pods or evicts them. It requests no action: the kubelet frees
// resources by itself, and a replacement would lose the data on the machine's disk.
func (p *planner) reportNodePressure(m *api.Machine, n Node) {
	if n.Pressure != "" {
		p.reportDrift(m.Name, api.DriftNodePressure, "its Node is Ready but takes no pods: "+n.Pressure,
			pressureAdvice(n.Pressure, m.Name))
	}
}

// pressureAdvice says what a person can do about a pressure.
func pressureAdvice(pressure, machine string) string {
	const evicts = "only reported: the kubelet evicts pods until "
	switch {
	case strings.Contains(pressure, "DiskPressure"):
		return evicts + "5% of the disk is free; remove what fills the disk of " + machine +
			", or create a cluster with a larger --disk_size"
	case strings.Contains(pressure, "MemoryPressure"):
		return evicts + "100 MiB of memory are free; set memory limits on its pods, or create a cluster with more " +
			"--memory"
	case strings.Contains(pressure, "PIDPressure"):
		return evicts + "process ids are free; find the pod on " + machine + " that starts so many processes"
	}
	return "only reported: check the pods of the cluster's network on " + machine +
		" (kubectl -n kube-system get pods -o wide)"
}
