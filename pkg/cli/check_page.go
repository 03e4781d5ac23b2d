package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

const (
	// pageWidth is how far a column of sentences goes.
	pageWidth = 76
	// maxReasonLines is how much of a reason is shown where there are many clouds.
	maxReasonLines = 2
)

// renderPage is the report as one page; wide shows every reason in full.
func (r checkReport) renderPage(wide bool) string {
	var b strings.Builder
	parts := &table{head: []string{"WHAT", "WORKS", "VERSION", "WHERE, AND WHY NOT"}}
	for _, p := range r.Parts {
		parts.addRow(textCell(p.Name), textCell(formatYesNo(p.Problem == "")), textCell(valueOrDash(p.Version)),
			findingCell(p))
	}
	b.WriteString(parts.String())
	clouds := &table{head: []string{"CLOUD", "ENABLED", "WHY NOT"}}
	for _, c := range r.Clouds {
		clouds.addRow(textCell(c.Name), textCell(formatYesNo(c.Enabled)), reasonCell(c.Reason, wide))
	}
	for _, p := range r.Parts {
		if p.Name == skyPilot && p.Problem != "" {
			clouds.addRow(textCell("others"), textCell(formatYesNo(false)),
				wrapSentence("they need SkyPilot, see above"))
		}
	}
	if len(clouds.rows) > 0 {
		b.WriteString("\n" + clouds.String())
	}
	b.WriteString("\n" + r.formatVerdict() + "\n")
	return b.String()
}

// formatVerdict is what it comes to.
func (r checkReport) formatVerdict() string {
	var names []string
	for _, c := range r.Clouds {
		if c.Enabled {
			names = append(names, c.Name)
		}
	}
	switch {
	case r.hasBrokenRequirement():
		return "No cluster can be created before what does not work above is mended."
	case len(names) == 0:
		return "No cloud can be used: set up Docker, or the credentials of a cloud (docs/clouds.md)."
	}
	return fmt.Sprintf("Clusters can be created on: %s.", strings.Join(names, ", "))
}

// findingCell is what a part has to say: where it is, what is known of it, and what is wrong.
func findingCell(p api.CheckFinding) cell {
	var c cell
	for _, s := range append([]string{p.Where}, append(p.Details, p.Problem)...) {
		c = append(c, wrapSentence(s)...)
	}
	return c
}

// reasonCell is a reason, with its beginning alone unless it is to be shown in full.
func reasonCell(s string, wide bool) cell {
	c := wrapSentence(s)
	if wide || len(c) <= maxReasonLines {
		return c
	}
	c = c[:maxReasonLines]
	c[maxReasonLines-1] += " … (-o wide)"
	return c
}

// wrapSentence breaks a sentence into lines of pageWidth at most, where it has spaces.
func wrapSentence(s string) cell {
	var c cell
	current := ""
	for _, word := range strings.Fields(printable.Line(s)) {
		if current != "" && utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) > pageWidth {
			c = append(c, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	if current != "" {
		c = append(c, current)
	}
	return c
}

func formatYesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
