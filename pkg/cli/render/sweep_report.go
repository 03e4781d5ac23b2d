package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// SweepReport is the result of a sweep, with the clusters as the sweep left them.
type SweepReport struct {
	operation.SweepResult
	// Only is the only cluster that was checked; empty if all were.
	Only     string
	Clusters map[string]api.Cluster
	// Corrupt are the clusters whose records are damaged.
	Corrupt []string
	// SchedulePaused: no scheduled sweeps run.
	SchedulePaused bool
}

// RenderPage renders the report as text.
func (s SweepReport) RenderPage(now time.Time) string {
	var b strings.Builder
	unknowns := s.unknownClusters()
	switch {
	case s.Only != "" && len(s.Drifted)+len(unknowns) == 0:
		if c, ok := s.Clusters[s.Only]; ok && c.Status.Phase != api.PhaseReady {
			fmt.Fprintf(&b, "Cluster %s is %s: see skyctl describe cluster %s\n", s.Only, c.Status.Phase, s.Only)
		} else {
			fmt.Fprintf(&b, "Cluster %s is in sync.\n", s.Only)
		}
	case s.Only == "":
		checked := FormatCount(s.Looked, "cluster")
		if n := len(s.Corrupt); n > 0 {
			checked = fmt.Sprintf("%d of %s", s.Looked, FormatCount(s.Looked+n, "cluster"))
		}
		fmt.Fprintf(&b, "Checked %s: %s.\n", checked, s.formatCounts(len(unknowns)))
	}
	for _, d := range s.Drifted {
		c := s.Clusters[d.Cluster]
		fmt.Fprintf(&b, "\n%s: %s\n", s.formatClusterName(d.Cluster, d.Phase), formatResponse(d))
		for _, l := range driftLines(c.Status, d.Drift, now) {
			b.WriteString("  " + l + "\n")
		}
	}
	if lines := s.formatSingleLines(unknowns); len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// formatSingleLines are the findings with one line each.
func (s SweepReport) formatSingleLines(unknowns []string) []string {
	var lines []string
	for _, name := range unknowns {
		c := s.Clusters[name]
		lines = append(lines, fmt.Sprintf("%s: its state is unknown; skyctl does not change it: %s",
			s.formatClusterName(name, c.Status.Phase), UnknownReason(&c)))
	}
	for _, name := range s.Corrupt {
		lines = append(lines, fmt.Sprintf("%[1]s (%[2]s): its record in etcd is damaged; skyctl does not change it: "+
			"see skyctl describe cluster %[1]s", printable.Line(name), PhaseDamaged))
	}
	if n := len(s.Orphans); n > 0 {
		lines = append(lines, FormatCount(n, "orphan")+": see skyctl get orphans")
	}
	for _, why := range s.Unasked {
		lines = append(lines, "A cloud did not answer: "+printable.Line(why))
	}
	for _, why := range s.Failed {
		lines = append(lines, "Not checked: "+printable.Line(why))
	}
	if s.SchedulePaused {
		lines = append(lines, "Scheduled sweeps are paused. To resume them: skyctl resume reconcile")
	}
	return lines
}

// formatCounts counts the findings for the headline.
func (s SweepReport) formatCounts(unknowns int) string {
	drifted, busy, failed := 0, 0, 0
	for _, c := range s.Clusters {
		if c.Status.Phase == api.PhaseError && !s.reportsCluster(c.Metadata.Name) {
			failed++
		}
	}
	for _, d := range s.Drifted {
		switch {
		case len(d.Drift) > 0:
			drifted++
		case d.Phase == "" || d.Unseen: // it could not be checked
			unknowns++
		default:
			busy++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{drifted, "drifted"}, {failed, "in ERROR"}, {busy, "busy"}, {unknowns, "unknown"}, {len(s.Corrupt),
		"damaged"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(s.Failed) > 0 {
		parts = append(parts, "not all could be checked")
	}
	if parts == nil {
		return "all in sync"
	}
	return strings.Join(parts, ", ")
}

// formatClusterName is the name of a cluster with its phase.
func (s SweepReport) formatClusterName(name string, phase api.Phase) string {
	var notes []string
	if phase != "" {
		notes = append(notes, string(phase))
	}
	if c, ok := s.Clusters[name]; ok && !c.Status.PausedAt.IsZero() {
		notes = append(notes, "paused")
	}
	if notes == nil {
		return printable.Line(name)
	}
	return fmt.Sprintf("%s (%s)", printable.Line(name), strings.Join(notes, ", "))
}

// formatResponse says how skyctl responds to drift.
func formatResponse(d operation.DriftedCluster) string {
	if d.Started != "" {
		return d.Started + " started"
	}
	return printable.Line(d.Why)
}

// reportsCluster reports whether the sweep result lists a cluster.
func (s SweepReport) reportsCluster(name string) bool {
	return slices.ContainsFunc(s.Drifted, func(d operation.DriftedCluster) bool { return d.Cluster == name })
}

// CountUnseen is the number of clusters whose state is unknown.
func (s SweepReport) CountUnseen() int {
	n := len(s.unknownClusters()) + len(s.Corrupt)
	for _, d := range s.Drifted {
		c := s.Clusters[d.Cluster]
		if d.Unseen || d.Phase == "" || UnknownReason(&c) != "" {
			n++
		}
	}
	return n
}

// unknownClusters are the clusters without drift whose state is unknown.
func (s SweepReport) unknownClusters() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.Clusters)) {
		c := s.Clusters[name]
		if !s.reportsCluster(name) && UnknownReason(&c) != "" {
			names = append(names, name)
		}
	}
	return names
}
