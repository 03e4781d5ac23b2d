package api

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// DiffSpec names the fields in which a spec that was asked for differs from the one that is there, with both values.
// Two ways to write the same do not differ.
func DiffSpec(there, asked ClusterSpec) []string {
	there.SetDefaults()
	asked.SetDefaults()
	if (there.Accelerators == "") != (asked.Accelerators == "") {
		there.GPUStack = asked.GPUStack // it follows from that, and need not be told too
	}
	// A create that says nothing of these takes the cluster as it is.
	asked.KubernetesVersion = cmp.Or(asked.KubernetesVersion, there.KubernetesVersion)
	asked.RKE2.Source = cmp.Or(asked.RKE2.Source, there.RKE2.Source)
	asked.RKE2.SHA256 = cmp.Or(asked.RKE2.SHA256, there.RKE2.SHA256)
	asked.GPU = asked.GPU.WithFallback(there.GPU)
	var diff []string
	for i, f := range specFieldValues(there) {
		if want := specFieldValues(asked)[i].value; f.value != want &&
			(f.name != "accelerators" || !strings.EqualFold(f.value, want)) {
			diff = append(diff, fmt.Sprintf("%s is %s, asked for is %s", f.name, valueOrUnset(f.value),
				valueOrUnset(want)))
		}
	}
	return diff
}

type fieldValue struct{ name, value string }

func specFieldValues(s ClusterSpec) []fieldValue {
	disk := ""
	if s.DiskSize != 0 {
		disk = strconv.Itoa(s.DiskSize)
	}
	return []fieldValue{
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
		{"kubernetes_version", s.KubernetesVersion},
		{"rke2.source", s.RKE2.Source},
		{"rke2.sha256", strings.ToLower(s.RKE2.SHA256)},
		{"gpu.chart_repo", s.GPU.ChartRepo},
		{"gpu.operator_version", s.GPU.OperatorVersion},
		{"gpu.plugin_version", s.GPU.PluginVersion},
		{"gpu.image_mirror", s.GPU.ImageMirror},
		{"gpu.test_image", s.GPU.TestImage},
	}
}

func valueOrUnset(s string) string {
	if s == "" {
		return "unset"
	}
	return s
}
