package api

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// snapshotSettle is how long after its time a server's own schedule may have its snapshot ready.
	snapshotSettle = 15 * time.Second
	// SnapshotWait is how long a snapshot that a person requested is tried; then it has failed.
	SnapshotWait = 15 * time.Minute
	// The least and the longest time between two tries to collect a snapshot, and between two looks at a cluster's
	// snapshots.
	minSnapshotRetry, maxSnapshotRetry = time.Minute, 10 * time.Minute
	snapshotLook, maxSnapshotLook      = time.Minute, time.Hour
	// clockTolerance is how far the time of a snapshot can be in the future without being in doubt.
	clockTolerance = 5 * time.Minute
	// unkeptSnapshots is how many snapshots of its schedule skyd leaves on a server that cannot be kept anywhere else.
	// A server's own schedule leaves as many.
	unkeptSnapshots = 5
)

// ServerSnapshot is a snapshot that is on a server.
type ServerSnapshot struct {
	// File is RKE2's name, Requested the name for which it was asked. Scheduled: the server's own schedule took it.
	File      string
	Requested string
	Scheduled bool
	TakenAt   time.Time
	Bytes     int64
}

// Schedule is the form of the interval in records: a duration or SnapshotsOff.
func (p SnapshotPolicy) Schedule() string {
	if every := p.Interval(); every > 0 {
		return Duration(every).String()
	}
	return SnapshotsOff
}

// snapshotGrace is how long skyd waits for a server's own schedule before it takes a snapshot itself.
func snapshotGrace(every time.Duration) time.Duration {
	return max(2*snapshotSettle, min(every/4, 5*time.Minute))
}

// exists reports whether the content of a snapshot is somewhere.
func (s Snapshot) exists() bool { return s.State == SnapshotTaken || s.State == SnapshotKept }

// IsFromFuture reports whether the snapshot seems to be taken in the future: a clock was wrong, then or now, and its
// age is unknown.
func (s Snapshot) IsFromFuture(now time.Time) bool { return s.TakenAt.Sub(now) > clockTolerance }

// newestSnapshotTime is the time of the newest content that exists and whose age is known; zero if there is none.
func newestSnapshotTime(known []Snapshot, now time.Time) time.Time {
	var newest time.Time
	for _, s := range known {
		if s.exists() && !s.IsFromFuture(now) && s.TakenAt.After(newest) {
			newest = s.TakenAt
		}
	}
	return newest
}

// lastSnapshotAt is when the newest snapshot that exists was taken or, by skyd's clock, requested: the clock of a
// machine may be behind.
func lastSnapshotAt(known []Snapshot, now time.Time) time.Time {
	last := newestSnapshotTime(known, now)
	for _, s := range known {
		if s.exists() && s.AskedAt.After(last) && s.AskedAt.Sub(now) <= clockTolerance {
			last = s.AskedAt
		}
	}
	return last
}

// IsSnapshotDue reports whether skyd has to take a scheduled snapshot itself, because the server's own schedule has not
// taken one in time. Call it with the snapshots on the server already among the known ones.
func IsSnapshotDue(p SnapshotPolicy, known []Snapshot, now time.Time) bool {
	every, last := p.Interval(), lastSnapshotAt(known, now)
	return every > 0 && (last.IsZero() || now.Sub(last) >= every+snapshotGrace(every))
}

// SelectServerSnapshots returns the snapshots of a server's own schedule that are to be collected and are not known
// yet, the newest first: those that a prune would keep, and no more than the schedule of the spec asks for, since the
// server may have another one until it is restarted.
func SelectServerSnapshots(p SnapshotPolicy, known []Snapshot, onServer []ServerSnapshot,
	now time.Time) []ServerSnapshot {
	every := p.Interval()
	if every == 0 {
		return nil
	}
	files := map[string]bool{}
	var times []time.Time // of the automatic ones that exist, known or selected
	for _, s := range known {
		files[s.File] = true
		if s.IsAutomatic() && s.exists() && !s.IsFromFuture(now) {
			times = append(times, s.TakenAt)
		}
	}
	candidates := slices.DeleteFunc(slices.Clone(onServer), func(f ServerSnapshot) bool {
		return !f.Scheduled || files[f.File]
	})
	slices.SortStableFunc(candidates, func(a, b ServerSnapshot) int { return b.TakenAt.Compare(a.TakenAt) })
	newest := newestSnapshotTime(known, now)
	var selected []ServerSnapshot
	for _, f := range candidates {
		newer, near := 0, false
		for _, t := range times {
			if t.After(f.TakenAt) {
				newer++
			}
			near = near || t.Sub(f.TakenAt).Abs() < every/2
		}
		isNewest := f.TakenAt.After(newest) && len(selected) == 0
		if isNewest || !near && newer < p.KeepCount() && now.Sub(f.TakenAt) < p.KeepDuration() {
			selected, times = append(selected, f), append(times, f.TakenAt)
		}
	}
	return selected
}

// CompareWithServer returns the records that change because of what is on the server: of those on another machine, or
// no longer on this one, nothing is left but what is kept elsewhere.
func CompareWithServer(known []Snapshot, server Machine, onServer []ServerSnapshot) []Snapshot {
	files := map[string]bool{}
	for _, f := range onServer {
		files[f.File] = true
	}
	var changed []Snapshot
	for _, s := range known {
		here := s.Machine == server.Name && s.Incarnation == server.Incarnation && files[s.File]
		if s.File == "" || s.OnMachine == here {
			continue
		}
		if s.OnMachine = here; !here && s.State == SnapshotTaken {
			s.State = SnapshotLost
			s.Failure = "its server no longer has it, and it was not kept anywhere else"
		} else if here && s.State == SnapshotLost {
			s.State, s.Failure = SnapshotTaken, ""
		}
		changed = append(changed, s)
	}
	return changed
}

// CompareWithVault returns the records of snapshots in a place that change because of the objects that are there. A
// file that is missing is collected again if the server has the snapshot; one that is there again is usable again.
func CompareWithVault(known []Snapshot, place string, objects map[string]bool) []Snapshot {
	var changed []Snapshot
	for _, s := range known {
		if s.Place != place || s.Object == "" {
			continue
		}
		switch there := objects[s.Object]; {
		case s.State == SnapshotKept && !there && s.OnMachine:
			s.State = SnapshotTaken
		case s.State == SnapshotKept && !there:
			s.State, s.Failure = SnapshotLost, "its file is no longer in "+DescribeSnapshotPlace(place)
		case s.State == SnapshotLost && there:
			s.State, s.Failure = SnapshotKept, ""
		default:
			continue
		}
		changed = append(changed, s)
	}
	return changed
}

// DescribeSnapshotPlace names a place for people.
func DescribeSnapshotPlace(place string) string {
	if place == SnapshotPlaceSkyd {
		return "skyd's directory of snapshots"
	}
	return place
}

// SnapshotsToCollect returns the snapshots that are on the machine only and whose next try is due, the newest first.
func SnapshotsToCollect(known []Snapshot, now time.Time) []Snapshot {
	due := slices.DeleteFunc(slices.Clone(known), func(s Snapshot) bool {
		return s.State != SnapshotTaken || !s.OnMachine || !s.IsRetryDue(now)
	})
	slices.SortStableFunc(due, func(a, b Snapshot) int { return b.TakenAt.Compare(a.TakenAt) })
	return due
}

// IsPending reports whether something is left to do with a snapshot: to take, to collect or to delete it.
func (s Snapshot) IsPending() bool {
	return s.State == SnapshotWanted || s.State == SnapshotDeleting || s.State == SnapshotTaken && s.OnMachine
}

// IsByServerSchedule reports whether the server's own schedule took the snapshot. The server removes it itself.
func (s Snapshot) IsByServerSchedule() bool { return s.IsAutomatic() && s.AskedAt.IsZero() }

// IsRetryDue reports whether what is to be done with a snapshot may be tried, again if it has failed before.
func (s Snapshot) IsRetryDue(now time.Time) bool {
	return s.FailedAt.After(now) || !now.Before(s.retryAt()) // a clock was set back
}

// retryAt is when the next try is due after one that failed; zero if none has.
func (s Snapshot) retryAt() time.Time {
	if s.FailedAt.IsZero() {
		return time.Time{}
	}
	return s.FailedAt.Add(min(max(s.FailedAt.Sub(s.Time())/4, minSnapshotRetry), maxSnapshotRetry))
}

// NeededSnapshots are the names of snapshots that stops and restores in the records of clusters need, by the UID of the
// snapshot's cluster. A cluster can be restored from the snapshot of another one.
func NeededSnapshots(clusters []Cluster) map[string]map[string]bool {
	needed := map[string]map[string]bool{}
	need := func(uid, name string) {
		if needed[uid] == nil {
			needed[uid] = map[string]bool{}
		}
		needed[uid][name] = true
	}
	for _, c := range clusters {
		if c.Status.Phase == PhaseDeleting {
			continue
		}
		if c.Status.Stop != nil {
			need(c.Metadata.UID, c.Status.Stop.Snapshot)
		}
		if r := c.Status.Restore; r != nil {
			need(cmp.Or(r.SnapshotUID, c.Metadata.UID), r.Snapshot)
		}
	}
	return needed
}

// MayPrune reports whether skyd may remove a snapshot by itself, whatever its age: never what a person asked for, a
// stop or restore needs, or is being verified.
func (s Snapshot) MayPrune(needed map[string]bool) bool {
	return s.IsAutomatic() && !needed[s.Name] && !s.Check.IsDue()
}

// SnapshotsToPrune returns the snapshots of a cluster that its policy no longer keeps, the oldest first. The newest one
// and the newest usable one always stay. So does one whose age is unknown. Ages count from the newest one: while no new
// ones come, or if a clock jumps, the old ones are worth more.
func SnapshotsToPrune(p SnapshotPolicy, known []Snapshot, needed map[string]bool, now time.Time) []Snapshot {
	all := slices.DeleteFunc(slices.Clone(known), func(s Snapshot) bool { return s.IsFromFuture(now) })
	slices.SortStableFunc(all, func(a, b Snapshot) int { return b.Time().Compare(a.Time()) })
	usable, newest := NewestUsableSnapshot(all), newestSnapshotTime(all, now)
	var pruned []Snapshot
	rank, unkept := 0, 0
	for _, s := range all {
		tooOld := now.Sub(s.Time()) >= p.KeepDuration()
		if s.IsAutomatic() && s.exists() {
			tooOld = newest.Sub(s.Time()) >= p.KeepDuration() || rank >= p.KeepCount()
			rank++
			if s.State == SnapshotTaken && !s.IsByServerSchedule() { // the server never removes it
				tooOld = tooOld || unkept >= unkeptSnapshots
				unkept++
			}
		} else if s.State != SnapshotLost && s.State != SnapshotFailed {
			continue // it is being taken, or deleted
		}
		isNewest := s.exists() && s.TakenAt.Equal(newest) || usable != nil && s.Name == usable.Name
		if tooOld && !isNewest && s.MayPrune(needed) {
			pruned = append(pruned, s)
		}
	}
	slices.Reverse(pruned)
	return pruned
}

// SnapshotsToFree returns the snapshots of all clusters whose removal from a place gives room for a number of bytes:
// the oldest ones, but never the newest usable one of a cluster. It returns nil if that is not enough: then nothing
// should be removed. needed are ProtectedSnapshots.
func SnapshotsToFree(all []Snapshot, place string, bytes int64, needed map[string]map[string]bool) []Snapshot {
	byCluster := map[string][]Snapshot{}
	for _, s := range all {
		byCluster[s.ClusterUID] = append(byCluster[s.ClusterUID], s)
	}
	candidates := slices.DeleteFunc(slices.Clone(all), func(s Snapshot) bool {
		usable := NewestUsableSnapshot(byCluster[s.ClusterUID])
		return s.Place != place || s.State != SnapshotKept || !s.MayPrune(needed[s.ClusterUID]) || usable == nil ||
			usable.Name == s.Name
	})
	slices.SortStableFunc(candidates, func(a, b Snapshot) int { return a.TakenAt.Compare(b.TakenAt) })
	for i, s := range candidates {
		if bytes -= s.SealedBytes; bytes <= 0 {
			return candidates[:i+1]
		}
	}
	return nil
}

// WhyNoSnapshot says why the cluster cannot take a snapshot now; empty if it can. Final: it will not be able to for
// long.
func (c *Cluster) WhyNoSnapshot() (why string, final bool) {
	switch phase := c.Status.Phase; {
	case phase == PhaseStopped:
		return "the cluster is stopped", true
	case phase == PhaseDeleting:
		return "the cluster is being deleted", true
	case phase == PhaseReady, phase == PhaseError && c.Status.WasReady() && c.Status.Restore == nil:
		return "", false
	case phase == PhaseError:
		return "the cluster has no server that works", true
	default:
		return fmt.Sprintf("the cluster is %s", phase), false
	}
}

// NextSnapshotLook is when the snapshots of a cluster have to be looked at again.
func NextSnapshotLook(p SnapshotPolicy, known []Snapshot, now time.Time) time.Time {
	next := now.Add(maxSnapshotLook)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, s := range known {
		if at := now.Add(snapshotLook); s.IsPending() && !s.retryAt().After(at) {
			sooner(at)
		} else if s.IsPending() {
			sooner(s.retryAt())
		}
	}
	if every := p.Interval(); every > 0 {
		promised := lastSnapshotAt(known, now).Add(every)
		for _, t := range []time.Time{promised.Add(snapshotSettle), promised.Add(snapshotGrace(every))} {
			if t.After(now) {
				sooner(t)
				break
			}
		}
		if !promised.Add(snapshotGrace(every)).After(now) {
			sooner(now.Add(snapshotLook))
		}
	}
	return next
}
