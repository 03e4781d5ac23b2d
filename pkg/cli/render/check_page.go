package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// CheckReport is the result of check: everything that a cluster needs.
type CheckReport struct {
	// OK: a cluster can be created on at least one cloud.
	OK bool `json:"ok"`
	// Parts are skyctl itself, the servers, and the sources of machines.
	Parts  []api.CheckFinding `json:"parts"`
	Clouds []api.CloudStatus  `json:"clouds"`
}

const skyPilot = "SkyPilot"

// machineProviders are the parts that provide machines. A problem of one only disables its own clouds.
var machineProviders = map[string]bool{"Docker": true, skyPilot: true}

// HasBrokenRequirement reports whether a part has a problem that every cloud needs.
func (r CheckReport) HasBrokenRequirement() bool {
	for _, p := range r.Parts {
		if p.Problem != "" && !machineProviders[p.Name] {
			return true
		}
	}
	return false
}

func (r CheckReport) CountEnabledClouds() int {
	n := 0
	for _, c := range r.Clouds {
		if c.Enabled {
			n++
		}
	}
	return n
}

// RenderPage renders the report; wide shows all reasons in full.
func (r CheckReport) RenderPage(wide bool) string {
	var b strings.Builder
	parts := &Table{head: []string{"PART", "WORKS", "VERSION", "DETAILS"}}
	for _, p := range r.Parts {
		parts.addRow(textCell(p.Name), textCell(formatYesNo(p.Problem == "")), textCell(ValueOrDash(p.Version)),
			findingCell(p))
	}
	b.WriteString(parts.String())
	clouds := &Table{head: []string{"CLOUD", "ENABLED", "REASON"}}
	for _, c := range r.Clouds {
		clouds.addRow(textCell(c.Name), textCell(formatYesNo(c.Enabled)), reasonCell(c.Reason, wide))
	}
	for _, p := range r.Parts {
		if p.Name == skyPilot && p.Problem != "" {
			clouds.addRow(textCell("others"), textCell(formatYesNo(false)),
				wrapSentence("SkyPilot is required, see above"))
		}
	}
	if len(clouds.rows) > 0 {
		b.WriteString("\n" + clouds.String())
	}
	b.WriteString("\n" + r.formatVerdict() + "\n")
	return b.String()
}

// formatVerdict says where clusters can be created.
func (r CheckReport) formatVerdict() string {
	var names []string
	for _, c := range r.Clouds {
		if c.Enabled {
			names = append(names, c.Name)
		}
	}
	switch {
	case r.HasBrokenRequirement():
		return "No cluster can be created until the problems above are fixed."
	case len(names) == 0:
		return "No cloud is enabled: set up Docker, or the credentials of a cloud (docs/clouds.md)."
	}
	return fmt.Sprintf("Clusters can be created on: %s.", strings.Join(names, ", "))
}

// findingCell shows where a part is, its details, and its problem.
func findingCell(p api.CheckFinding) Cell {
	var c Cell
	for _, s := range append([]string{p.Where}, append(p.Details, p.Problem)...) {
		c = append(c, wrapSentence(s)...)
	}
	return c
}

// reasonCell is a reason, truncated unless wide.
func reasonCell(s string, wide bool) Cell {
	c := wrapSentence(s)
	if wide || len(c) <= maxReasonLines {
		return c
	}
	c = c[:maxReasonLines]
	c[maxReasonLines-1] += " … (-o wide)"
	return c
}
