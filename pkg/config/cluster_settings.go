package config

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// isClusterSetting reports whether a setting travels with a cluster: a create records it in a field of the spec.
func isClusterSetting(key string) bool {
	return slices.ContainsFunc(api.Fields, func(f api.Field) bool { return f.Setting == key })
}

// AffectsCluster says whether a setting of the worker decides which machines a spec gets, and what runs on them.
func AffectsCluster(key string, spec api.ClusterSpec) bool {
	switch heading, leaf, _ := strings.Cut(key, "."); {
	case heading == "docker":
		return spec.Cloud == "docker"
	case heading == "skypilot":
		return spec.Cloud != "docker" && slices.Contains([]string{"python", "endpoint", "tokenFile", "fullRuntime",
			"awsInstanceProfile"}, leaf)
	case heading == "gpu":
		return spec.Accelerators != "" && strings.HasSuffix(leaf, "aluesFile")
	}
	return false
}

// ApplyToSpec writes the settings that are set into the fields of a spec that they fill, unless the spec sets the
// field. Settings of the GPU stack fill only the spec of a cluster with accelerators.
func (c *Config) ApplyToSpec(spec *api.ClusterSpec) {
	for _, f := range api.Fields {
		if f.Setting == "" || !c.IsSet(f.Setting) || f.Text(*spec) != "" ||
			strings.HasPrefix(f.Setting, "gpu.") && spec.Accelerators == "" {
			continue
		}
		_ = f.Set(spec, findSetting(f.Setting).get(c)) // such a field holds any text, and Validate judges it
	}
}

// CommandSetting returns where this command set a setting: its flag or environment variable. It is empty if neither
// did.
func (c *Config) CommandSetting(key string) string {
	if !c.IsSetByCommand(key) {
		return ""
	}
	return c.given[key].from
}
