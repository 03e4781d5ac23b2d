package config

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// SettingReport is the value of a setting and where it comes from, for display.
type SettingReport struct {
	Key   string `json:"name"`
	Value string `json:"value"`
	// From is one of the From constants, and Source the flag, the variable or the file; empty for a default.
	From    string `json:"from"`
	Source  string `json:"source,omitempty"`
	Default string `json:"default,omitempty"`
}

// ReportSettings returns every setting, sorted by key. Names and passwords in addresses are redacted.
func (c *Config) ReportSettings() []SettingReport {
	var all []SettingReport
	for _, row := range ListSettings() {
		s := findSetting(row.Key)
		r := SettingReport{Key: s.key, Value: redactUserinfos(s.get(c)), From: FromDefault, Default: s.def}
		if v, ok := c.values[s.key]; ok {
			r.From, r.Source = v.kind, v.from
		}
		all = append(all, r)
	}
	return all
}

// redactUserinfos is redactUserinfo for addresses that are separated by commas.
func redactUserinfos(v string) string {
	parts := strings.Split(v, ",")
	for i, p := range parts {
		parts[i] = redactUserinfo(p)
	}
	return strings.Join(parts, ",")
}

// ListChoices returns the values that a setting can have, if they are few.
func ListChoices(key string) []string {
	for _, f := range api.Fields {
		if f.Setting == key && f.Values != nil {
			return f.Values
		}
	}
	switch s := findSetting(key); {
	case s.choices != nil:
		return s.choices
	case s.def != "":
		return []string{s.def}
	}
	return nil
}

// ConcernsWorker reports whether a worker uses a setting, so that a change needs its restart.
func (c *Config) ConcernsWorker(key string) bool {
	return (c.isComparable(key) || strings.HasPrefix(key, "ssh.")) && !isClusterSetting(key) && key != "ui.address"
}
