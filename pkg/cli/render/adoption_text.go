package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// FormatHome is where a home is, for a person.
func FormatHome(h api.Home) string {
	if h.Dir == "" {
		return "This etcd"
	}
	return printable.Line(h.Dir) + " on " + printable.Line(h.Hostname)
}

// FormatAdoptionFindings is what speaks against a state, and what the adoption cannot find out.
func FormatAdoptionFindings(r operation.AdoptResult) string {
	var b strings.Builder
	b.WriteString("What speaks against this state:\n")
	found := r.Findings
	if len(found) == 0 && r.Before.Doubt != nil {
		found = r.Before.Doubt.Findings
	}
	for _, f := range found {
		fmt.Fprintf(&b, "  - %s\n", printable.Line(f.Message))
	}
	if n := len(r.Unreached); n > 0 {
		fmt.Fprintf(&b, "No machine of %s could be asked: %s\n", FormatCount(n, "cluster"),
			printable.Line(strings.Join(r.Unreached, ", ")))
	}
	return b.String()
}
