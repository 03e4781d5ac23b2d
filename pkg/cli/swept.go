package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// swept is what a sweep found, with the clusters as it left them.
type swept struct {
	api.SweepResult
	// only is the one cluster that was looked at; empty where it was all.
	only     string
	clusters map[string]api.Cluster
	// corrupt are the clusters that nobody can read.
	corrupt []string
	// stopped: no sweep comes by itself.
	stopped bool
}

// text is what a person reads of it.
func (s swept) text(now time.Time) string {
	var b strings.Builder
	unknowns := s.unknowns()
	switch {
	case s.only != "" && len(s.Drifted)+len(unknowns) == 0:
		if c, ok := s.clusters[s.only]; ok && c.Status.Phase != api.PhaseReady {
			fmt.Fprintf(&b, "Cluster %s is %s: see skyctl describe cluster %s\n", s.only, c.Status.Phase, s.only)
		} else {
			fmt.Fprintf(&b, "Cluster %s is as it was asked for.\n", s.only)
		}
	case s.only == "":
		looked := count(s.Looked, "cluster")
		if n := len(s.corrupt); n > 0 {
			looked = fmt.Sprintf("%d of %s", s.Looked, count(s.Looked+n, "cluster"))
		}
		fmt.Fprintf(&b, "Looked at %s: %s.\n", looked, s.sum(len(unknowns)))
	}
	for _, d := range s.Drifted {
		c := s.clusters[d.Cluster]
		fmt.Fprintf(&b, "\n%s: %s\n", s.named(d.Cluster, d.Phase), done(d))
		for _, l := range driftRows(c.Status, d.Drift, now) {
			b.WriteString("  " + l + "\n")
		}
	}
	if lines := s.singleLines(unknowns); len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// singleLines are what is told in one line each.
func (s swept) singleLines(unknowns []string) []string {
	var lines []string
	for _, name := range unknowns {
		c := s.clusters[name]
		lines = append(lines, fmt.Sprintf("%s: its state is unknown; skyctl does not change it: %s", s.named(name, c.Status.Phase), unknown(&c)))
	}
	for _, name := range s.corrupt {
		lines = append(lines, fmt.Sprintf("%[1]s (%[2]s): what etcd has of it can't be understood; skyctl does not change it: "+
			"see skyctl describe cluster %[1]s", clean(name), phaseDamaged))
	}
	switch n := len(s.Orphans); n {
	case 0:
	case 1:
		lines = append(lines, "1 machine belongs to no cluster: see skyctl get orphans")
	default:
		lines = append(lines, fmt.Sprintf("%d machines belong to no cluster: see skyctl get orphans", n))
	}
	for _, why := range s.Unasked {
		lines = append(lines, "A cloud could not be asked for orphans: "+clean(why))
	}
	for _, why := range s.Failed {
		lines = append(lines, "Not looked at: "+clean(why))
	}
	if s.stopped {
		lines = append(lines, "The sweeps of the schedule are paused: skyctl resume reconcile lets them go on.")
	}
	return lines
}

// sum is the headline's count of what was found.
func (s swept) sum(unknowns int) string {
	drifted, busy, failed := 0, 0, 0
	for _, c := range s.clusters {
		if c.Status.Phase == api.PhaseError && !s.told(c.Metadata.Name) {
			failed++
		}
	}
	for _, d := range s.Drifted {
		switch {
		case len(d.Drift) > 0:
			drifted++
		case d.Phase == "" || d.Unseen: // it could not be looked at
			unknowns++
		default:
			busy++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{drifted, "drifted"}, {failed, "in ERROR"}, {busy, "being worked on"}, {unknowns, "unknown"}, {len(s.corrupt), "damaged"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(s.Failed) > 0 {
		parts = append(parts, "not all could be looked at")
	}
	if parts == nil {
		return "all as they were asked for"
	}
	return strings.Join(parts, ", ")
}

// named is a cluster's name with where it stands.
func (s swept) named(name string, phase api.Phase) string {
	var besides []string
	if phase != "" {
		besides = append(besides, string(phase))
	}
	if c, ok := s.clusters[name]; ok && !c.Status.PausedAt.IsZero() {
		besides = append(besides, "paused")
	}
	if besides == nil {
		return clean(name)
	}
	return fmt.Sprintf("%s (%s)", clean(name), strings.Join(besides, ", "))
}

// done is what is done about a cluster.
func done(d api.Drifted) string {
	if d.Started != "" {
		return d.Started + " was started"
	}
	return clean(d.Why)
}

// told says whether the sweep itself tells of a cluster.
func (s swept) told(name string) bool {
	return slices.ContainsFunc(s.Drifted, func(d api.Drifted) bool { return d.Cluster == name })
}

// unseen is how many clusters were not seen as they are now.
func (s swept) unseen() int {
	n := len(s.unknowns()) + len(s.corrupt)
	for _, d := range s.Drifted {
		c := s.clusters[d.Cluster]
		if d.Unseen || d.Phase == "" || unknown(&c) != "" {
			n++
		}
	}
	return n
}

// unknowns are the clusters without drift of which it can't be said that they are as they should be.
func (s swept) unknowns() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.clusters)) {
		c := s.clusters[name]
		if !s.told(name) && unknown(&c) != "" {
			names = append(names, name)
		}
	}
	return names
}

// unknown is why it can't be said whether a cluster is as it should be; empty where it can.
func unknown(c *api.Cluster) string {
	if c.Status.Phase != api.PhaseReady {
		return ""
	}
	for _, t := range []api.ConditionType{api.Reachable, api.InSync} {
		if in := c.Status.Condition(t); in != nil && in.Status == api.ConditionUnknown {
			if in.Message == "" {
				return in.Reason
			}
			return clean(in.Message)
		}
	}
	return ""
}
