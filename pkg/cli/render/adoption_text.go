package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// FormatHome returns the directory and computer of a home.
func FormatHome(h api.Home) string {
	if h.Dir == "" {
		return "This etcd"
	}
	return printable.Line(h.Dir) + " on " + printable.Line(h.Hostname)
}

// FormatAdoptionFindings lists what differs in a state, and the clusters whose machines could not be reached.
func FormatAdoptionFindings(r operation.AdoptResult) string {
	var b strings.Builder
	b.WriteString("What differs in this state:\n")
	found := r.Findings
	if len(found) == 0 && r.Before.Doubt != nil {
		found = r.Before.Doubt.Findings
	}
	for _, f := range found {
		fmt.Fprintf(&b, "  - %s\n", printable.Line(f.Message))
	}
	if n := len(r.Unreached); n > 0 {
		fmt.Fprintf(&b, "No machine of %s could be reached: %s\n", FormatCount(n, "cluster"),
			printable.Line(strings.Join(r.Unreached, ", ")))
	}
	return b.String()
}
