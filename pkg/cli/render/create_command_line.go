package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// releaseVariables are the variables of the environment that a create needs to ask for the same releases as a spec:
// there is no flag for them, and this person's settings may name others by now.
func releaseVariables(s api.ClusterSpec) string {
	var b strings.Builder
	for _, v := range [][2]string{
		{"SKYCTL_RKE2_SOURCE", s.RKE2.Source}, {"SKYCTL_RKE2_SHA256", s.RKE2.SHA256},
		{"SKYCTL_GPU_CHART_REPO", s.GPU.ChartRepo}, {"SKYCTL_GPU_OPERATOR_VERSION", s.GPU.OperatorVersion},
		{"SKYCTL_GPU_PLUGIN_VERSION", s.GPU.PluginVersion}, {"SKYCTL_GPU_IMAGE_MIRROR", s.GPU.ImageMirror},
		{"SKYCTL_GPU_TEST_IMAGE", s.GPU.TestImage},
	} {
		if v[1] != "" {
			b.WriteString(v[0] + "=" + quoteShellWord(v[1]) + " ")
		}
	}
	return b.String()
}

// quoteShellWord quotes what a shell would not take as one plain word.
func quoteShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./:+@=,%", r)
	}
	if strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// CreateCommandLine is the command that made the cluster, which goes on with it.
func CreateCommandLine(c *api.Cluster) string {
	s := c.Spec
	cmd := releaseVariables(s) + "skyctl create cluster " + c.Metadata.Name
	add := func(flag, value string) {
		if value != "" && value != "0" {
			cmd += " --" + flag + " " + value
		}
	}
	if s.Provision {
		cmd += " --provision"
	}
	add("cloud", s.Cloud)
	add("region", s.Region)
	add("zone", s.Zone)
	add("cpus", s.CPUs)
	add("memory", s.Memory)
	add("disk_size", fmt.Sprint(s.DiskSize))
	add("accelerators", s.Accelerators)
	cmd += formatGPUFlags(s)
	if s.UseSpot {
		cmd += " --use_spot"
	}
	add("max_hourly_cost", strconv.FormatFloat(s.MaxHourlyCost, 'f', -1, 64))
	add("image_id", s.ImageID)
	add("api_cidr", s.APICIDR)
	add("api_access", s.APIAccess)
	add("ports", strings.Join(s.Ports, ","))
	add("num_nodes", fmt.Sprint(s.NumNodes))
	add("kubernetes_version", quoteShellWord(s.KubernetesVersion))
	var l []string
	for _, k := range slices.Sorted(maps.Keys(c.Metadata.Labels)) {
		l = append(l, k+"="+c.Metadata.Labels[k])
	}
	add("labels", strings.Join(l, ","))
	if c.Status.KeepOnFailure {
		cmd += " --keep-on-failure"
	}
	return cmd
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
