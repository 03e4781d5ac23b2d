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
