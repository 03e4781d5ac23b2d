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

// UsedSettings returns the settings that this program uses, so that other programs can compare theirs (see
// DifferencesFrom). Names and passwords in addresses are redacted.
func (c *Config) UsedSettings() map[string]api.UsedSetting {
	all := map[string]api.UsedSetting{}
	for _, s := range settings {
		if !c.isComparable(s.key) {
			continue
		}
		u := api.UsedSetting{Value: redactUserinfo(s.get(c)), From: FromDefault,
			InFile: redactUserinfo(c.inFile[s.key])}
		if v, ok := c.values[s.key]; ok {
			u.From = v.kind
		}
		if slices.Contains(fileContentSettings, s.key) {
			u.Content = hashFileContent(u.Value)
		}
		all[s.key] = u
	}
	return all
}

// fileContentSettings name files whose content a worker reads when it starts.
var fileContentSettings = []string{"gpu.valuesFile", "gpu.pluginValuesFile"}

// hashFileContent returns the SHA-256 of a file's content, or "" if the file cannot be read.
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

// redactUserinfo removes the name and password from an address.
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

// SettingDifference is a setting whose value in a command differs from the value that the worker uses.
type SettingDifference struct {
	Key string `json:"key"`
	// Given is the command's value, and From its source, as shown to the user.
	Given string `json:"given"`
	From  string `json:"from"`
	Used  string `json:"used"`
	// ByFlag means that a flag of this command set it.
	ByFlag bool `json:"-"`
}

// DifferencesFrom returns the settings that were set here, or removed from config.yaml, since a worker read its
// settings. It leaves out settings that are recorded in a cluster's spec, and settings that the worker's own flags or
// environment override while config.yaml has not changed. Older workers report no settings, so there are no
// differences.
func (c *Config) DifferencesFrom(used map[string]api.UsedSetting) []SettingDifference {
	var all []SettingDifference
	for _, s := range settings {
		theirs, ok := used[s.key]
		if !ok || isClusterSetting(s.key) || !c.isComparable(s.key) {
			continue
		}
		mine, isSet := c.values[s.key]
		d := SettingDifference{Key: s.key, Given: redactUserinfo(s.get(c)), From: mine.from, Used: theirs.Value,
			ByFlag: mine.kind == FromFlag}
		switch {
		case d.Given == d.Used && theirs.Content != "" && !c.external && hashFileContent(d.Given) != theirs.Content:
			d.Given, d.Used = d.Given+" (current content)", d.Used+" (content when the worker started)"
			all = append(all, d)
		case d.Given == d.Used:
		case mine.kind == FromFile && redactUserinfo(c.inFile[s.key]) == theirs.InFile:
		case isSet:
			all = append(all, d)
		case theirs.From == FromFile && !c.external:
			d.From = "no longer in " + c.ConfigFile()
			all = append(all, d)
		}
	}
	return all
}

// isComparable reports whether a setting must be equal in a command and in the worker. Only commands use
// kubeconfig.merge and gateway.address; addresses, certificates and the bastion can differ, and with external servers
// so can the other connection settings and the ports of skyd dev.
func (c *Config) isComparable(key string) bool {
	if strings.HasPrefix(key, "ssh.") || strings.HasPrefix(key, "etcd.tls.") ||
		strings.HasPrefix(key, "temporal.tls.") ||
		key == "etcd.endpoints" || key == "temporal.address" || key == "kubeconfig.merge" ||
		key == "gateway.address" {
		return false
	}
	return !c.external || key != "ui.address" && !strings.HasPrefix(key, "dev.") &&
		!slices.Contains(connectionSettings, key)
}
