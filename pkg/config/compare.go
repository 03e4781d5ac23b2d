package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regular"
)

// Where a setting's value comes from.
const (
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
)

// perCluster are settings that travel with a cluster: a create records them in its spec.
var perCluster = []string{
	"rke2.version", "rke2.source", "rke2.sha256",
	"gpu.chartRepo", "gpu.operatorVersion", "gpu.pluginVersion", "gpu.imageMirror", "gpu.testImage",
}

// ofConnection are settings by which a program finds the servers; a command that uses a skyd dev takes that one's.
var ofConnection = []string{"etcd.prefix", "temporal.namespace", "temporal.taskQueue", "secretsKeyFile"}

// IsGiven says whether a setting was given by flag, environment or file, and not left to its default.
func (c *Config) IsGiven(key string) bool {
	_, ok := c.given[key]
	return ok
}

// IsGivenNow is IsGiven for this command alone: by flag or environment.
func (c *Config) IsGivenNow(key string) bool {
	v, ok := c.given[key]
	return ok && v.kind != FromFile
}

// Used are all settings with what these programs use of them, for others to compare theirs with (see Differences). A name and
// a password in an address are left out.
func (c *Config) Used() map[string]api.UsedSetting {
	all := map[string]api.UsedSetting{}
	for _, s := range settings {
		if !c.comparable(s.key) {
			continue
		}
		u := api.UsedSetting{Value: redacted(s.get(c)), From: FromDefault, InFile: redacted(c.inFile[s.key])}
		if v, ok := c.given[s.key]; ok {
			u.From = v.kind
		}
		if slices.Contains(readOnce, s.key) {
			u.Content = contentOf(u.Value)
		}
		all[s.key] = u
	}
	return all
}

// readOnce are settings that name a file whose content a worker reads when it starts.
var readOnce = []string{"gpu.valuesFile", "gpu.pluginValuesFile"}

// contentOf is the SHA-256 of a file's content; empty where it can't be read.
func contentOf(name string) string {
	if name == "" {
		return ""
	}
	data, err := regular.Read(name, regular.SmallFile)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// redacted takes a name and a password out of an address.
func redacted(v string) string {
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

// Difference is a setting that a command was given, and that what does the work does not use.
type Difference struct {
	Key string `json:"key"`
	// Given is the command's value, and From says where it comes from, as a person would.
	Given string `json:"given"`
	From  string `json:"from"`
	Used  string `json:"used"`
	// ByFlag: it was asked for with this very command.
	ByFlag bool `json:"-"`
}

// Differences are the settings that were given here, or taken out of config.yaml, since a worker read its own. Settings of one
// cluster are none: they travel with it. Nor is what the worker was told otherwise on purpose, by its own flags or environment,
// while config.yaml says the same as then. An empty used, as of a worker of before, tells nothing.
func (c *Config) Differences(used map[string]api.UsedSetting) []Difference {
	var all []Difference
	for _, s := range settings {
		theirs, told := used[s.key]
		if !told || slices.Contains(perCluster, s.key) || !c.comparable(s.key) {
			continue
		}
		mine, given := c.given[s.key]
		d := Difference{Key: s.key, Given: redacted(s.get(c)), From: mine.from, Used: theirs.Value, ByFlag: mine.kind == FromFlag}
		switch {
		case d.Given == d.Used && theirs.Content != "" && !c.external && contentOf(d.Given) != theirs.Content:
			d.Given, d.Used = d.Given+" as it is now", d.Used+" as it was then"
			all = append(all, d)
		case d.Given == d.Used:
		case mine.kind == FromFile && redacted(c.inFile[s.key]) == theirs.InFile:
		case given:
			all = append(all, d)
		case theirs.From == FromFile && !c.external:
			d.From = "no longer in " + c.ConfigFile()
			all = append(all, d)
		}
	}
	return all
}

// comparable says whether both sides mean the same by a setting. Where servers are elsewhere, how to reach them is each
// side's own, and so are the ports of a skyd dev.
func (c *Config) comparable(key string) bool {
	if strings.HasPrefix(key, "etcd.tls.") || strings.HasPrefix(key, "temporal.tls.") ||
		key == "etcd.endpoints" || key == "temporal.address" {
		return false
	}
	return !c.external || key != "ui.address" && !strings.HasPrefix(key, "dev.") && !slices.Contains(ofConnection, key)
}

// Decides says whether a setting of the worker decides which machines a spec gets, and what runs on them.
func Decides(key string, spec api.ClusterSpec) bool {
	switch heading, leaf, _ := strings.Cut(key, "."); {
	case heading == "docker":
		return spec.Cloud == "docker"
	case heading == "skypilot":
		return spec.Cloud != "docker" && slices.Contains([]string{"python", "endpoint", "tokenFile", "fullRuntime", "awsInstanceProfile"}, leaf)
	case heading == "gpu":
		return spec.Accelerators != "" && strings.HasSuffix(leaf, "aluesFile")
	}
	return false
}

// RecordIn writes the settings of one cluster that were given here into its spec, where it does not say otherwise.
func (c *Config) RecordIn(spec *api.ClusterSpec) {
	record := func(key, value string, into *string) {
		if *into == "" && c.IsGiven(key) {
			*into = value
		}
	}
	record("rke2.version", c.RKE2.Version, &spec.KubernetesVersion)
	record("rke2.source", c.RKE2.Source, &spec.RKE2.Source)
	record("rke2.sha256", c.RKE2.SHA256, &spec.RKE2.SHA256)
	if spec.Accelerators == "" {
		return
	}
	record("gpu.chartRepo", c.GPU.ChartRepo, &spec.GPU.ChartRepo)
	record("gpu.operatorVersion", c.GPU.OperatorVersion, &spec.GPU.OperatorVersion)
	record("gpu.pluginVersion", c.GPU.PluginVersion, &spec.GPU.PluginVersion)
	record("gpu.imageMirror", c.GPU.ImageMirror, &spec.GPU.ImageMirror)
	record("gpu.testImage", c.GPU.TestImage, &spec.GPU.TestImage)
}

// ClusterSettingsGivenNow are the settings of one cluster that this command was given by flag or environment.
func (c *Config) ClusterSettingsGivenNow() []string {
	var all []string
	for _, key := range perCluster {
		if c.IsGivenNow(key) {
			all = append(all, c.given[key].from)
		}
	}
	return all
}

// UseConnection takes over how a running skyd dev finds its data and its work.
func (c *Config) UseConnection(used map[string]api.UsedSetting) {
	for _, key := range ofConnection {
		if u, told := used[key]; told && u.Value != "" {
			_ = settingNamed(key).set(c, u.Value) // it was checked where it was used first
		}
	}
}
