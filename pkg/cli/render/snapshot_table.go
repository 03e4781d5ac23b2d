package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// SnapshotList is the JSON form of several snapshots.
type SnapshotList struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Items      []api.Snapshot `json:"items"`
}

// NewSnapshotList returns a SnapshotList of snapshots.
func NewSnapshotList(snapshots []api.Snapshot) SnapshotList {
	return SnapshotList{api.APIVersion, "SnapshotList", append([]api.Snapshot{}, snapshots...)}
}

// NewSnapshotTable lists snapshots. existing has the UIDs of the clusters that exist: the others are marked as deleted.
func NewSnapshotTable(snapshots []api.Snapshot, existing map[string]bool, wide bool, now time.Time) *Table {
	t := &Table{head: []string{"NAME", "CLUSTER", "TAKEN", "SIZE", "VERSION", "WHERE", "VERIFIED"}}
	if wide {
		t.head = append(t.head, "REASON", "STATE", "SEALED", "MACHINE", "REVISION", "KEYS")
	}
	for _, s := range snapshots {
		cluster := s.Cluster
		if !existing[s.ClusterUID] {
			cluster += " (deleted)"
		}
		row := []Cell{textCell(s.Name), textCell(cluster), textCell(formatTaken(s, now)),
			textCell(formatBytes(s.Bytes)),
			textCell(ValueOrDash(snapshotVersion(s))), textCell(formatSnapshotPlace(s)),
			textCell(formatVerified(s.Check, now))}
		if wide {
			row = append(row, textCell(string(s.Reason)), textCell(string(s.State)),
				textCell(formatBytes(s.SealedBytes)),
				textCell(ValueOrDash(s.Machine)), textCell(formatCounted(s.Revision)), textCell(
					formatCounted(s.KeyCount())))
		}
		t.addRow(row...)
	}
	return t
}

// formatTaken is the time of a snapshot's content, and how long ago that was.
func formatTaken(s api.Snapshot, now time.Time) string {
	if s.TakenAt.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s ago)", FormatMoment(now, s.TakenAt), formatAge(now.Sub(s.TakenAt)))
}

func snapshotVersion(s api.Snapshot) string { return cmp.Or(s.Versions.RKE2, s.Versions.Kubernetes) }

// formatSnapshotPlace says where a snapshot is.
func formatSnapshotPlace(s api.Snapshot) string {
	switch s.State {
	case api.SnapshotWanted:
		return "- (not taken yet)"
	case api.SnapshotFailed:
		return "- (failed)"
	case api.SnapshotLost:
		return "- (lost)"
	case api.SnapshotDeleting:
		return ValueOrDash(s.Place) + " (being deleted)"
	case api.SnapshotTaken:
		return s.Machine + " (not kept yet)"
	}
	return ValueOrDash(s.Place)
}

// verifiedWords are the results of verifications for people.
var verifiedWords = map[api.SnapshotResult]string{api.SnapshotProven: "proven", api.SnapshotDamaged: "DAMAGED",
	api.SnapshotUnknown: "unknown"}

// formatVerified is the result of the last verification and its age, or that one is requested.
func formatVerified(c *api.SnapshotCheck, now time.Time) string {
	switch {
	case c == nil:
		return "-"
	case c.IsDue() && c.StartedAt.After(c.At):
		return "running"
	case c.IsDue():
		return "requested"
	}
	return fmt.Sprintf("%s (%s ago)", cmp.Or(verifiedWords[c.Result], string(c.Result)), formatAge(now.Sub(c.At)))
}

// SummarizeSnapshot is a snapshot in a few words: its cluster, when it was taken, and its size.
func SummarizeSnapshot(s api.Snapshot, now time.Time) string {
	if s.TakenAt.IsZero() {
		return s.Cluster + ", " + string(s.State)
	}
	return fmt.Sprintf("%s, taken %s ago, %s", s.Cluster, formatAgeSince(now, s.TakenAt), formatBytes(s.Bytes))
}

// formatBytes is a size in binary units: 512 B, 5.0 MiB.
func formatBytes(n int64) string {
	if n <= 0 {
		return "-"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n) / (1 << 10)
	for v >= 1<<10 && len(units) > 1 {
		v, units = v/(1<<10), units[1:]
	}
	return fmt.Sprintf("%.1f %s", v, units[0])
}

// formatCounted is a number, or a dash if it is not known.
func formatCounted(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// snapshotLines are the section of a cluster's page about its snapshots: what is scheduled, what is there, and the last
// restore. snapshots are those of the cluster; nil if they are not known.
func snapshotLines(c *api.Cluster, snapshots []api.Snapshot, now time.Time) []string {
	kept, newest := 0, (*api.Snapshot)(nil)
	var verified *api.Snapshot
	for i, s := range snapshots {
		if s.State == api.SnapshotKept {
			kept++
			if !c.Status.Restored.IsUndone(s) && (newest == nil || s.TakenAt.After(newest.TakenAt)) {
				newest = &snapshots[i]
			}
		}
		if k := s.Check; k != nil && !k.At.IsZero() && (verified == nil || k.At.After(verified.Check.At)) {
			verified = &snapshots[i]
		}
	}
	newestText, keptText, verifiedText := "", "", ""
	if newest != nil {
		newestText = fmt.Sprintf("%s, %s old, %s", newest.Name, FormatDuration(now.Sub(newest.TakenAt)),
			DescribeKept(*newest))
	} else if snapshots != nil {
		newestText = "none is kept off the machines"
	}
	if kept > 0 {
		keptText = fmt.Sprint(kept)
	}
	if verified != nil {
		verifiedText = fmt.Sprintf("%s, %s", verified.Name, DescribeCheck(verified.Check, now))
	}
	return alignPairs("Schedule", formatSchedule(c.Spec), "Newest", newestText, "Kept", keptText, "Verified",
		verifiedText,
		"Server lost", formatServerLoss(c.Spec), "Last restore", formatRestored(c.Status.Restored, now))
}

// formatSchedule says which snapshots are taken and kept.
func formatSchedule(s api.ClusterSpec) string {
	p := s.Snapshots
	every := p.Interval()
	if every == 0 {
		return "off"
	}
	text := fmt.Sprintf("every %s; at most %d are kept, for %s, in %s", api.Duration(every), p.KeepCount(),
		api.Duration(p.KeepDuration()), describePlace(p.StoragePlace()))
	if verify := p.VerifyInterval(); verify > 0 {
		text += fmt.Sprintf("; verified every %s", api.Duration(verify))
	}
	return text
}

func formatServerLoss(s api.ClusterSpec) string {
	if !s.RestoresLostServer() {
		return "the cluster waits for a person"
	}
	return fmt.Sprintf("restored from a snapshot that is at most %s old", api.Duration(s.SnapshotAgeLimit()))
}

// DescribeCheck says when a verification ended, how long it took, and what it found.
func DescribeCheck(c *api.SnapshotCheck, now time.Time) string {
	text := cmp.Or(verifiedWords[c.Result], string(c.Result))
	if !c.At.IsZero() {
		text += fmt.Sprintf(" %s ago", FormatDuration(now.Sub(c.At)))
	}
	if !c.StartedAt.IsZero() && c.At.After(c.StartedAt) {
		text += fmt.Sprintf(" in %s", FormatDuration(c.At.Sub(c.StartedAt)))
	}
	if c.Message != "" {
		text += ": " + printable.Line(c.Message)
	}
	return text
}

// formatRestored says from which snapshot a cluster was restored, from when its state is, and how much time is lost;
// empty if it never was.
func formatRestored(r *api.RestoreResult, now time.Time) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s ago, %s, in %s", FormatDuration(now.Sub(r.At)), DescribeRestored(*r, now),
		FormatDuration(r.At.Sub(r.StartedAt)))
}

// DescribeRestored says from which snapshot a cluster was restored, from when its state is, and how much time is lost.
func DescribeRestored(r api.RestoreResult, now time.Time) string {
	text := fmt.Sprintf("from %s, with the state of %s", r.Snapshot, FormatMoment(now, r.StateOf))
	if lost := r.Until.Sub(r.StateOf); lost >= time.Second {
		text += fmt.Sprintf(" (%s of changes are lost)", FormatDuration(lost))
	}
	if r.NotKept != "" {
		text += "; the state before was not kept as a snapshot: " + r.NotKept
	}
	return text
}

// requestedWork says which restore, start or stop is requested; empty if none is.
func requestedWork(c *api.Cluster) string {
	switch r := c.Status.Restore; {
	case c.Status.Phase == api.PhaseDeleting, c.Status.Phase == api.PhaseError && r != nil:
		return ""
	case r != nil && r.Reason == api.RestoreStart:
		return "starting from " + r.Snapshot
	case r != nil:
		return "restoring from " + r.Snapshot
	case c.Status.Stop != nil && c.Status.Phase != api.PhaseStopped:
		return "stopping"
	}
	return ""
}

// formatStopped says what is left of a stopped cluster; empty if it is not stopped.
func formatStopped(c *api.Cluster) string {
	if c.Status.Phase != api.PhaseStopped {
		return ""
	}
	text := "all machines are ended; nothing is billed but the storage of its snapshots"
	if api.AnyMachineMayExist(c.Status.Machines) {
		text = "its machines are being ended"
	}
	if stop := c.Status.Stop; stop != nil && stop.Snapshot != "" {
		text += ". Its state is in snapshot " + stop.Snapshot
	}
	return text
}

// DataLines list what is only on the disks of machines, at most limit of them.
func DataLines(data []api.LocalData, total, limit int) []string {
	var lines []string
	for _, d := range data[:min(len(data), limit)] {
		lines = append(lines, printable.Line(d.String()))
	}
	if more := total - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// sortedKeyRows are the numbers of keys by prefix, the largest first.
func sortedKeyRows(keys map[string]int64) [][]string {
	rows := [][]string{}
	for _, prefix := range sortKeysByCount(keys) {
		rows = append(rows, []string{strings.TrimPrefix(prefix, "/registry/"), fmt.Sprint(keys[prefix])})
	}
	return rows
}

// describePlace names where snapshots are kept.
func describePlace(place string) string {
	if place == api.SnapshotPlaceSkyd {
		return "skyd's directory"
	}
	return place
}

// DescribeKept says how large a kept snapshot is, and where.
func DescribeKept(s api.Snapshot) string {
	return fmt.Sprintf("%s in %s", formatBytes(s.Bytes), describePlace(s.Place))
}

// DescribeSnapshot describes a snapshot in a line, before it is deleted.
func DescribeSnapshot(s api.Snapshot, now time.Time) string {
	return printable.Line(fmt.Sprintf("%s, taken %s, %s, in %s", s.Name, formatTaken(s, now), formatBytes(s.Bytes),
		formatSnapshotPlace(s)))
}

// RestoreLines say what a wished restore of a cluster does: from when the state is, how much time is lost, whether the
// present state is kept, and what ends. The time of the wish is now.
func RestoreLines(c *api.Cluster, w api.RestoreWish) []string {
	s := w.Snapshot
	lines := []string{fmt.Sprintf("Snapshot %s has the state of %s. Changes of the last %s are lost.", s.Name,
		FormatMoment(w.At, s.TakenAt), FormatDuration(w.At.Sub(s.TakenAt)))}
	if s.ClusterUID != c.Metadata.UID {
		lines[0] = fmt.Sprintf("Snapshot %s has the state of cluster %s of %s. All of the present state is replaced.",
			s.Name, s.Cluster, FormatMoment(w.At, s.TakenAt))
	}
	if check := formatCheck(s.Check, w.At); check != "" {
		lines = append(lines, "Its verification: "+check+".")
	} else {
		lines = append(lines, "It was never verified.")
	}
	if machines := len(ExistingMachines(c)); w.NewMachines && machines > 0 {
		lines = append(lines, fmt.Sprintf("%s and the data on their disks end; others are launched.",
			FormatCount(machines, "machine")))
	} else if !w.NewMachines {
		lines = append(lines, "The machines and their volumes stay. Pods that are newer than the snapshot end.")
	}
	return append(lines, describeKeptState(c, w.DiscardState))
}

// describeKeptState says what a restore of a cluster does with the present state.
func describeKeptState(c *api.Cluster, discard bool) string {
	isSilent := slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool {
		return d.Reason == api.DriftAPISilent || d.Reason == api.DriftHeadLost
	})
	switch {
	case discard:
		return "The present state is not kept as a snapshot (--discard-state)."
	case isSilent || c.LostServer() != "":
		return "The server did not answer the last time. If it can take a snapshot, the present state is kept first; " +
			"otherwise the restore goes on without it."
	}
	return "If the server answers, the present state is kept first as another snapshot; if that fails, nothing is " +
		"changed."
}

// SnapshotCount is what becomes of the snapshots of a cluster that is deleted.
type SnapshotCount struct{ Deleted, Staying int }

// CountSnapshots counts the snapshots of the cluster with a UID that are somewhere.
func CountSnapshots(all []api.Snapshot, uid string) SnapshotCount {
	n := SnapshotCount{}
	for _, s := range all {
		switch {
		case s.ClusterUID != uid || s.State != api.SnapshotKept && s.State != api.SnapshotTaken:
		case s.IsAutomatic() || s.State == api.SnapshotTaken: // one on a machine only is lost with it
			n.Deleted++
		default:
			n.Staying++
		}
	}
	return n
}

// Describe continues a description of the cluster: ", 48 snapshots are deleted, 2 stay".
func (n SnapshotCount) Describe() string {
	text := ""
	switch {
	case n.Deleted == 1:
		text = ", 1 snapshot is deleted"
	case n.Deleted > 0:
		text = fmt.Sprintf(", %d snapshots are deleted", n.Deleted)
	}
	staying := fmt.Sprint(n.Staying)
	if n.Deleted == 0 {
		staying = FormatCount(n.Staying, "snapshot")
	}
	switch {
	case n.Staying == 1:
		text += ", " + staying + " stays"
	case n.Staying > 0:
		text += ", " + staying + " stay"
	}
	return text
}
