package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

func specLines(s api.ClusterSpec) []string {
	disk := ""
	if s.DiskSize > 0 {
		disk = fmt.Sprintf("%d GiB", s.DiskSize)
	}
	memory := s.Memory
	if memory != "" {
		memory += " GiB"
	}
	spot, most := "", ""
	if s.UseSpot {
		spot = "yes: the cloud may take machines back"
	}
	if s.MaxHourlyCost > 0 {
		most = fmt.Sprintf("$%.2f per hour and machine", s.MaxHourlyCost)
	}
	return alignPairs("Manager", s.Manager, "Cloud", s.Cloud, "Region", s.Region, "Zone", s.Zone, "Nodes",
		fmt.Sprint(s.NumNodes), "CPUs", s.CPUs,
		"Memory", memory, "Disk", disk, "Accelerators", s.Accelerators, "GPU stack", formatGPUStack(s), "Spot", spot,
		"At most", most, "Image", s.ImageID,
		"Ports", strings.Join(s.Ports, ", "), "API open to", s.APICIDR, "API access", s.APIAccess, "Provision",
		fmt.Sprint(s.Provision))
}

// formatGPUStack is the stack as the section Spec has it; a cluster without accelerators has none to speak of.
func formatGPUStack(s api.ClusterSpec) string {
	if s.GPUStack != "" && s.GPUTaint {
		return s.GPUStack + ", workers tainted"
	}
	return s.GPUStack
}
