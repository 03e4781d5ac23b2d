package render

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// formatStatus is a cluster's phase, with what a person should know besides.
func formatStatus(c *api.Cluster) string {
	var besides []string
	if st := c.Status; hasUnwantedDrift(st.Drift) && (st.Phase == api.PhaseReady || st.Phase == api.PhaseError) {
		besides = append(besides, "drifted")
	}
	if UnknownReason(c) != "" {
		besides = append(besides, "unknown")
	}
	if !c.Status.PausedAt.IsZero() {
		besides = append(besides, "paused")
	}
	if besides == nil {
		return string(c.Status.Phase)
	}
	return fmt.Sprintf("%s (%s)", c.Status.Phase, strings.Join(besides, ", "))
}

// PhaseDamaged is shown for a cluster whose object does not say its phase.
const PhaseDamaged = api.Phase("DAMAGED")

// UnknownReason is why it can't be said whether a cluster is as it should be; empty where it can.
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
