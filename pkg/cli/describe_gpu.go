package cli

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// gpuLines are what is known of a cluster's accelerators: what runs on it to offer them, and how many each node does.
func gpuLines(st api.ClusterStatus) []string {
	v := st.Versions
	lines := alignPairs("Driver", v.GPUDriver, "Operator", v.GPUOperator, "Device plugin", v.GPUPlugin)
	if len(st.GPUs) == 0 {
		return lines
	}
	rows := [][]string{{"NODE", "OFFERED", "EXPECTED"}}
	for _, n := range st.GPUs {
		rows = append(rows, []string{n.Node, fmt.Sprint(n.Offered), fmt.Sprint(n.Expected)})
	}
	return append(lines, alignColumns(rows)...)
}

// formatGPUStack is the stack as the section Spec has it; a cluster without accelerators has none to speak of.
func formatGPUStack(s api.ClusterSpec) string {
	if s.GPUStack != "" && s.GPUTaint {
		return s.GPUStack + ", workers tainted"
	}
	return s.GPUStack
}

// formatGPUFlags are the flags about accelerators that made a spec, for the command that made the cluster.
func formatGPUFlags(s api.ClusterSpec) string {
	flags := ""
	if plain := (api.ClusterSpec{Accelerators: s.Accelerators}); s.GPUStack != "" {
		if plain.SetDefaults(); plain.GPUStack != s.GPUStack {
			flags += " --gpu_stack " + s.GPUStack
		}
	}
	if s.GPUTaint {
		flags += " --gpu_taint"
	}
	return flags
}
