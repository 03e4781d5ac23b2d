package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// checkSpecField makes the check of a setting that fills a field of a cluster's spec.
func checkSpecField(name string) func(string) error {
	return func(v string) error {
		f, _ := api.FindField(name)
		var spec api.GroupSpec
		if err := f.Set(&spec, v); err != nil || v == "" {
			return errors.New(f.Want)
		}
		spec.SetDefaults()
		for _, e := range api.FieldErrorsOf(spec.Validate()) {
			if e.Field == name {
				return errors.New(f.Want)
			}
		}
		return nil
	}
}

// isClusterSetting reports whether skyctl create records a setting in a field of the cluster's spec.
func isClusterSetting(key string) bool {
	return slices.ContainsFunc(api.Fields, func(f api.Field) bool { return f.Setting == key })
}

// AffectsCluster reports whether a worker's setting affects the machines of a cluster or the software on them.
func AffectsCluster(key string, spec api.GroupSpec) bool {
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

// ApplyToSpec copies settings that were set into the empty fields of a spec that correspond to them. Settings of the
// GPU stack apply only to a cluster with accelerators.
func (c *Config) ApplyToSpec(spec *api.GroupSpec) {
	for _, f := range api.Fields {
		if f.Setting == "" || !c.IsSet(f.Setting) || f.Text(*spec) != "" ||
			strings.HasPrefix(f.Setting, "gpu.") && spec.Accelerators == "" {
			continue
		}
		_ = f.Set(spec, findSetting(f.Setting).get(c)) // the field takes any text; Validate checks it later
	}
}

// ApplyToCluster is ApplyToSpec for a cluster whose pools can differ from each other.
func (c *Config) ApplyToCluster(spec *api.ClusterSpec) {
	group := spec.ControlPlaneGroup()
	for _, p := range spec.Pools {
		if group.Accelerators == "" {
			group.Accelerators = p.Machine.Accelerators
		}
	}
	c.ApplyToSpec(&group)
	spec.CopySettings(group)
	spec.RKE2.AddMissing(c.RKE2.Lists)
}

// CommandSetting returns the flag or environment variable with which this command set a setting, or "" if it did not.
func (c *Config) CommandSetting(key string) string {
	if !c.IsSetByCommand(key) {
		return ""
	}
	return c.values[key].from
}
