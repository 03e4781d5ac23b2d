package cli

import (
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
