package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// formatStatus returns the text of a status: the phase, with notes in parentheses. A colour would be chosen here, too;
// the table has to measure the text without it, and terminal.SanitizingWriter removes escape sequences.
func formatStatus(c *api.Cluster) string {
	var notes []string
	switch st, doing := c.Status, currentWork(c); {
	case doing != "":
		notes = append(notes, doing)
	case hasUnwantedDrift(st.Drift) && (st.Phase == api.PhaseReady || st.Phase == api.PhaseError):
		notes = append(notes, "drifted")
	}
	if UnknownReason(c) != "" {
		notes = append(notes, "unknown")
	}
	if !c.Status.PausedAt.IsZero() {
		notes = append(notes, "paused")
	}
	if notes == nil {
		return string(c.Status.Phase)
	}
	return fmt.Sprintf("%s (%s)", c.Status.Phase, strings.Join(notes, ", "))
}

// currentWork says what is under way on a cluster besides its create and its delete; empty if nothing is.
func currentWork(c *api.Cluster) string {
	if c.Status.Operation == nil || c.Status.Phase == api.PhaseDeleting {
		return ""
	}
	return printable.Line(c.Status.Operation.Doing)
}

// PhaseDamaged is shown for a cluster whose record is damaged.
const PhaseDamaged = api.Phase("DAMAGED")

// UnknownReason says why the state of a READY cluster is unknown; empty if it is known.
func UnknownReason(c *api.Cluster) string {
	if c.Status.Phase != api.PhaseReady {
		return ""
	}
	for _, t := range []api.ConditionType{api.Reachable, api.InSync} {
		if in := c.Status.FindCondition(t); in != nil && in.Status == api.ConditionUnknown {
			if in.Message == "" {
				return in.Reason
			}
			return printable.Line(in.Message)
		}
	}
	return ""
}
