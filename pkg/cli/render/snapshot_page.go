package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// SnapshotPage is the output of describe snapshot.
type SnapshotPage struct {
	Snapshot api.Snapshot
	// ClusterExists: the snapshot's cluster is not deleted.
	ClusterExists bool
	Now           time.Time
}

// reasonTexts say why a snapshot was taken.
var reasonTexts = map[api.SnapshotReason]string{
	api.SnapshotScheduled:     "by schedule; skyctl removes it once newer ones are there",
	api.SnapshotAsked:         "requested by a person; it stays until it is deleted by name",
	api.SnapshotBeforeStop:    "before a stop of the cluster; it stays until it is deleted by name",
	api.SnapshotBeforeRestore: "before a restore of the cluster; it stays until it is deleted by name",
}

func (d SnapshotPage) String() string {
	p, s, now := &sectionedText{}, d.Snapshot, d.Now
	cluster := s.Cluster + " (" + s.ClusterUID + ")"
	if !d.ClusterExists {
		cluster += ", which is deleted"
	}
	taken, asked, failed, machine := "", "", "", s.Machine
	if !s.TakenAt.IsZero() {
		taken = formatTime(now, s.TakenAt)
	}
	if !s.AskedAt.IsZero() {
		asked = formatTime(now, s.AskedAt)
	}
	if s.Failure != "" {
		failed = s.Failure
		if !s.FailedAt.IsZero() {
			failed += fmt.Sprintf(" (%s ago)", FormatDuration(now.Sub(s.FailedAt)))
		}
	}
	if machine != "" && s.OnMachine {
		machine += ", which still has it as " + s.File
	}
	kept := ""
	if s.Place != "" {
		kept = fmt.Sprintf("%s as %s, sealed (%s)", s.Place, s.Object, formatBytes(s.SealedBytes))
	}
	for _, l := range alignPairs("Name", s.Name, "Cluster", cluster, "State", string(s.State),
		"Reason", cmp.Or(reasonTexts[s.Reason], string(s.Reason)), "Requested", asked, "Taken", taken,
		"Machine", machine, "Kept in", kept, "Size", strings.TrimPrefix(formatBytes(s.Bytes), "-"), "SHA-256", s.SHA256,
		"Revision", strings.TrimPrefix(formatCounted(s.Revision), "-"), "Kubernetes", s.Versions.Kubernetes,
		"RKE2", s.Versions.RKE2, "Failure", failed, "Verified", formatCheck(s.Check, now)) {
		p.b.WriteString(l + "\n")
	}
	if rows := sortedKeyRows(s.Keys); len(rows) > 0 {
		p.addSection(fmt.Sprintf("Keys (%d)", s.KeyCount()), AlignColumns(rows)...)
	}
	if s.Spec != nil {
		p.addSection("Spec of that time", specLines(*s.Spec)...)
	}
	p.addSection("Next", d.nextCommands()...)
	return p.b.String()
}

// formatCheck describes the last verification, and that another one is requested; empty without any.
func formatCheck(c *api.SnapshotCheck, now time.Time) string {
	var parts []string
	if c != nil && !c.At.IsZero() {
		parts = append(parts, DescribeCheck(c, now))
	}
	if c.IsDue() {
		parts = append(parts, "one is requested")
	}
	return strings.Join(parts, "; ")
}

// nextCommands are the commands that a person would run next.
func (d SnapshotPage) nextCommands() []string {
	s := d.Snapshot
	of := s.Name + " --cluster " + s.Cluster
	if s.State != api.SnapshotKept {
		return []string{"skyctl get snapshots --cluster " + s.Cluster}
	}
	commands := []string{"skyctl verify snapshot " + of}
	if s.IsUsable() && d.ClusterExists {
		commands = append(commands, "skyctl restore cluster "+s.Cluster+" --snapshot "+s.Name)
	} else if s.IsUsable() {
		commands = append(commands, "skyctl restore cluster NAME --snapshot "+s.Cluster+"/"+s.Name+
			" --force --new-machines")
	}
	return append(commands, "skyctl delete snapshot "+of)
}

// sortKeysByCount sorts prefixes by their number of keys, the largest first.
func sortKeysByCount(keys map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(keys), func(a, b string) int {
		return cmp.Or(cmp.Compare(keys[b], keys[a]), cmp.Compare(a, b))
	})
}
