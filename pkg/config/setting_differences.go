package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// Where a setting's value comes from.
const (
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
)

// isClusterSetting reports whether a setting travels with a cluster: a create records it in a field of the spec.
func isClusterSetting(key string) bool {
	return slices.ContainsFunc(api.Fields, func(f api.Field) bool { return f.Setting == key })
}

// connectionSettings are settings by which a program finds the servers; a command that uses a skyd dev takes that
// one's.
var connectionSettings = []string{"etcd.prefix", "temporal.namespace", "temporal.taskQueue", "secretsKeyFile"}

// IsSet says whether a setting was given by flag, environment or file, and not left to its default.
func (c *Config) IsSet(key string) bool {
	_, ok := c.given[key]
	return ok
}

// IsSetByCommand is IsSet for this command alone: by flag or environment.
func (c *Config) IsSetByCommand(key string) bool {
	v, ok := c.given[key]
	return ok && v.kind != FromFile
}

// UsedSettings are all settings with what these programs use of them, for others to compare theirs with (see
// Differences). A name and a password in an address are left out.
func (c *Config) UsedSettings() map[string]api.UsedSetting {
	all := map[string]api.UsedSetting{}
	for _, s := range settings {
		if !c.isComparable(s.key) {
			continue
		}
		u := api.UsedSetting{Value: redactUserinfo(s.get(c)), From: FromDefault,
			InFile: redactUserinfo(c.inFile[s.key])}
		if v, ok := c.given[s.key]; ok {
			u.From = v.kind
		}
		if slices.Contains(fileContentSettings, s.key) {
			u.Content = hashFileContent(u.Value)
		}
		all[s.key] = u
	}
	return all
}

// fileContentSettings are settings that name a file whose content a worker reads when it starts.
var fileContentSettings = []string{"gpu.valuesFile", "gpu.pluginValuesFile"}

// hashFileContent is the SHA-256 of a file's content; empty where it can't be read.
func hashFileContent(name string) string {
	if name == "" {
		return ""
	}
	data, err := regularfile.Read(name, regularfile.SmallFile)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// redactUserinfo takes a name and a password out of an address.
func redactUserinfo(v string) string {
	if !strings.Contains(v, "@") {
		return v
	}
	u, err := url.Parse(v)
	if err != nil || u.User == nil {
		return v
	}
	u.User = url.User("redacted")
	return u.String()
}

// SettingDifference is a setting that a command was given, and that what does the work does not use.
type SettingDifference struct {
	Key string `json:"key"`
	// Given is the command's value, and From says where it comes from, as a person would.
	Given string `json:"given"`
	From  string `json:"from"`
	Used  string `json:"used"`
	// ByFlag: it was asked for with this very command.
	ByFlag bool `json:"-"`
}

// DifferencesFrom are the settings that were given here, or taken out of config.yaml, since a worker read its own.
// Settings of one cluster are none: they travel with it. Nor is what the worker was told otherwise on purpose, by its
// own flags or environment, while config.yaml says the same as then. An empty used, as of a worker of before, tells
// nothing.
func (c *Config) DifferencesFrom(used map[string]api.UsedSetting) []SettingDifference {
	var all []SettingDifference
	for _, s := range settings {
		theirs, told := used[s.key]
		if !told || isClusterSetting(s.key) || !c.isComparable(s.key) {
			continue
		}
		mine, given := c.given[s.key]
		d := SettingDifference{Key: s.key, Given: redactUserinfo(s.get(c)), From: mine.from, Used: theirs.Value,
			ByFlag: mine.kind == FromFlag}
		switch {
		case d.Given == d.Used && theirs.Content != "" && !c.external && hashFileContent(d.Given) != theirs.Content:
			d.Given, d.Used = d.Given+" as it is now", d.Used+" as it was then"
			all = append(all, d)
		case d.Given == d.Used:
		case mine.kind == FromFile && redactUserinfo(c.inFile[s.key]) == theirs.InFile:
		case given:
			all = append(all, d)
		case theirs.From == FromFile && !c.external:
			d.From = "no longer in " + c.ConfigFile()
			all = append(all, d)
		}
	}
	return all
}

// isComparable says whether both sides mean the same by a setting. Where servers are elsewhere, how to reach them is
// each side's own, and so are the ports of a skyd dev.
func (c *Config) isComparable(key string) bool {
	if strings.HasPrefix(key, "etcd.tls.") || strings.HasPrefix(key, "temporal.tls.") ||
		key == "etcd.endpoints" || key == "temporal.address" {
		return false
	}
	return !c.external || key != "ui.address" && !strings.HasPrefix(key, "dev.") &&
		!slices.Contains(connectionSettings, key)
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

// ApplyConnection takes over how a running skyd dev finds its data and its work.
func (c *Config) ApplyConnection(used map[string]api.UsedSetting) {
	for _, key := range connectionSettings {
		if u, told := used[key]; told && u.Value != "" {
			_ = findSetting(key).set(c, u.Value) // it was checked where it was used first
		}
	}
}
