package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// Escape sequences of ECMA-48 that choose how a terminal shows text.
const (
	styleRed    = "\x1b[31m"
	styleGreen  = "\x1b[32m"
	styleYellow = "\x1b[33m"
	styleDim    = "\x1b[2m"
	styleNormal = "\x1b[0m"
)

// phaseStyles are the styles of phases. The others are shown as usual text.
var phaseStyles = map[api.Phase]string{
	api.PhaseReady: styleGreen,
	api.PhaseInit:  styleYellow, api.PhaseProvisioning: styleYellow,
	api.PhaseError: styleRed, PhaseDamaged: styleRed,
	api.PhaseDeleting: styleDim, api.PhaseStopped: styleDim, PhaseDeleted: styleDim,
}

// paintStatus colours the phase in a status, of which the first part is shown. The notes behind it stay as usual text.
func paintStatus(status, shown string) string {
	phase, _, _ := strings.Cut(status, " ")
	style := phaseStyles[api.Phase(phase)]
	if style == "" || shown == "" {
		return shown
	}
	word, notes, more := strings.Cut(shown, " ")
	if more {
		notes = " " + notes
	}
	return style + word + styleNormal + notes
}

// formatStatus returns the text of a status: the phase, with notes in parentheses, of which some are given.
func formatStatus(c *api.Cluster, notes ...string) string {
	notes = slices.Clone(notes)
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
	if len(notes) == 0 {
		return string(c.Status.Phase)
	}
	return fmt.Sprintf("%s (%s)", c.Status.Phase, strings.Join(notes, ", "))
}

// currentWork says what is under way on a cluster besides its create and its delete; empty if nothing is.
func currentWork(c *api.Cluster) string {
	if requested := requestedWork(c); requested != "" {
		return printable.Line(requested)
	}
	if c.Status.Operation == nil || c.Status.Phase == api.PhaseDeleting {
		return ""
	}
	return printable.Line(c.Status.Operation.Doing)
}

// PhaseDeleted is shown for a cluster that a watch has seen go.
const PhaseDeleted = api.Phase("DELETED")

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
