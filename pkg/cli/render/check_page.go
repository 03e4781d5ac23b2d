package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// CheckReport is the result of check: everything that a cluster needs.
type CheckReport struct {
	// OK: a cluster can be created on at least one cloud.
	OK bool `json:"ok"`
	// Cloud is the only cloud that was checked; "" is all.
	Cloud string `json:"cloud,omitempty"`
	// Parts are skyctl itself, the servers, and the sources of machines.
	Parts  []api.CheckFinding `json:"parts"`
	Clouds []api.CloudStatus  `json:"clouds"`
}

const skyPilot = "SkyPilot"

// PartGateway is the way to machines through a worker.
const PartGateway = "gateway"

// notRequired are the parts that clusters can be created without. A problem of one that provides machines only disables
// its own clouds; without the gateway, only this computer does not reach machines.
var notRequired = map[string]bool{"Docker": true, skyPilot: true, PartGateway: true}

// HasBrokenRequirement reports whether a part has a problem that every cloud needs.
func (r CheckReport) HasBrokenRequirement() bool {
	for _, p := range r.Parts {
		if p.Problem != "" && !notRequired[p.Name] {
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
	if findings := r.formatFindings(); findings != "" {
		b.WriteString("\n" + findings)
	}
	clouds := &Table{head: []string{"CLOUD", "ENABLED", "REASON"}}
	for _, c := range r.Clouds {
		reason := reasonCell(c.Reason, wide)
		if r.listsProblem(c.Reason) {
			reason = textCell("see the problems above")
		}
		clouds.addRow(textCell(c.Name), textCell(formatYesNo(c.Enabled)), reason)
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

// listsProblem reports whether a problem stands among the findings.
func (r CheckReport) listsProblem(problem string) bool {
	return problem != "" && slices.ContainsFunc(r.Parts, func(p api.CheckFinding) bool {
		return p.Problem == problem && countFindings(p, api.FindingProblem) > 0
	})
}

// formatFindings renders the findings of all parts, each with its fix.
func (r CheckReport) formatFindings() string {
	table := &Table{head: []string{"PART", "FINDING", "SEVERITY", "WHAT IT IS, AND WHAT TO DO"}}
	for _, p := range r.Parts {
		for _, f := range p.Findings {
			what := wrapSentence(f.Message)
			if f.Fix != "" {
				what = append(what, wrapSentence("Fix: "+f.Fix)...)
			}
			table.addRow(textCell(p.Name), textCell(f.Check), textCell(strings.ToLower(string(f.Severity))), what)
		}
	}
	if len(table.rows) == 0 {
		return ""
	}
	return table.String()
}

// countFindings counts the findings of a part by severity.
func countFindings(p api.CheckFinding, severity api.FindingSeverity) int {
	n := 0
	for _, f := range p.Findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

// formatWarnings says how many warnings there are; "" if there are none.
func (r CheckReport) formatWarnings() string {
	n := 0
	for _, p := range r.Parts {
		n += countFindings(p, api.FindingWarning)
	}
	if n == 0 {
		return ""
	}
	return " " + FormatCount(n, "warning") + ": see above, and docs/troubleshooting.md."
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
	case len(names) == 0 && r.Cloud != "":
		return fmt.Sprintf("No cluster can be created on %s until the problems above are fixed.", r.Cloud)
	case len(names) == 0:
		return "No cloud is enabled: set up Docker, or the credentials of a cloud (docs/clouds.md)."
	}
	return fmt.Sprintf("Clusters can be created on: %s.%s", strings.Join(names, ", "), r.formatWarnings())
}

// findingCell shows where a part is, its details, and its problem, unless it stands among the findings.
func findingCell(p api.CheckFinding) Cell {
	var c Cell
	problem := p.Problem
	if n := countFindings(p, api.FindingProblem); n > 0 {
		problem = FormatCount(n, "problem") + ", see below"
	}
	for _, s := range append([]string{p.Where}, append(slices.Clone(p.Details), problem)...) {
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
