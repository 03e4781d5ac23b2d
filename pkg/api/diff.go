package api

import (
	"fmt"
	"strconv"
	"strings"
)

// DiffSpec names the fields in which a spec that was asked for differs from the one that is there, with both values. Two
// ways to write the same do not differ.
func DiffSpec(there, asked ClusterSpec) []string {
	there.Default()
	asked.Default()
	if (there.Accelerators == "") != (asked.Accelerators == "") {
		there.GPUStack = asked.GPUStack // it follows from that, and need not be told too
	}
	var diff []string
	for i, f := range fields(there) {
		if want := fields(asked)[i].value; f.value != want && (f.name != "accelerators" || !strings.EqualFold(f.value, want)) {
			diff = append(diff, fmt.Sprintf("%s is %s, asked for is %s", f.name, orNone(f.value), orNone(want)))
		}
	}
	return diff
}

type field struct{ name, value string }

func fields(s ClusterSpec) []field {
	disk := ""
	if s.DiskSize != 0 {
		disk = strconv.Itoa(s.DiskSize)
	}
	return []field{
		{"manager", s.Manager},
		{"cloud", s.Cloud},
		{"region", s.Region},
		{"zone", s.Zone},
		{"cpus", s.CPUs},
		{"memory", s.Memory},
		{"disk_size", disk},
		{"accelerators", s.Accelerators},
		{"gpu_stack", s.GPUStack},
		{"gpu_taint", strconv.FormatBool(s.GPUTaint)},
		{"use_spot", strconv.FormatBool(s.UseSpot)},
		{"max_hourly_cost", strconv.FormatFloat(s.MaxHourlyCost, 'f', -1, 64)},
		{"image_id", s.ImageID},
		{"api_cidr", s.APICIDR},
		{"api_access", s.APIAccess},
		{"ports", strings.Join(s.Ports, ",")},
		{"num_nodes", strconv.Itoa(s.NumNodes)},
		{"provision", strconv.FormatBool(s.Provision)},
	}
}

func orNone(s string) string {
	if s == "" {
		return "unset"
	}
	return s
}
