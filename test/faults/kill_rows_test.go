package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/world"
)

// TestWorkersAreKilled kills the worker at each point of each activity of each operation. The long form tries each kill
// in a lane of its own, the short form those of a row of activities in one lane.
func TestWorkersAreKilled(t *testing.T) {
	t.Parallel()
	for _, s := range allScenes() {
		for _, row := range killsOf(s, *long) {
			t.Run(s.name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				killed(t, s, row.blows)
			})
		}
	}
}

// killRow are the kills of one lane, one after the other.
type killRow struct {
	name  string
	blows []blow
}

// tryOnce lists the activities of which a kill may be the end, so that no other kill can follow.
var tryOnce = map[string]string{
	"Diagnose":        "it is tried for 20 s",
	"DeleteSnapshot":  "it is tried twice, and the next run finds no snapshot if it is deleted",
	"TerminateOrphan": "the next sweep tries again, and finds no orphan if the machine is gone",
}

// killsOf returns the kills of a scene by lane.
func killsOf(s scene, long bool) []killRow {
	alone := s.also
	if !long {
		alone = nil
	}
	var rows []killRow
	for _, activities := range s.activities {
		if _, once := tryOnce[activities[0]]; once || long {
			alone = slices.Concat(alone, activities)
			continue
		}
		row := killRow{name: strings.Join(activities, "+")}
		for _, a := range activities {
			for _, moment := range moments {
				row.blows = append(row.blows, blowOf(s, a, moment, 0))
			}
		}
		rows = append(rows, row)
	}
	for _, a := range alone {
		for _, moment := range moments {
			for seed := range seeds(long) {
				rows = append(rows, killRow{name: fmt.Sprintf("%s/%s/%d", a, moment, seed),
					blows: []blow{blowOf(s, a, moment, seed)}})
			}
		}
	}
	return rows
}

// seeds is how often each point is tried, each time with another machine or at another time.
func seeds(long bool) int {
	if long {
		return 3
	}
	return 1
}

// blowOf chooses the machine and the time in an activity at which the worker is killed: first right after the cloud has
// acted, then later each time.
func blowOf(s scene, activity, moment string, seed int) blow {
	b := blow{activity: activity, workflow: s.workflow, moment: moment}
	if perMachine[activity] {
		b.nth = seed % cmp.Or(s.concerns, size)
	}
	if moment == during && seed > 0 {
		b.late = time.Duration(seed*seed) * 25 * time.Millisecond
	}
	return b
}

// perMachine lists the activities that an operation runs for each machine.
var perMachine = map[string]bool{"Submit": true, "Await": true, "Arm": true, "Prepare": true, "AwaitNode": true,
	"Disarm": true, "Terminate": true}

// killed kills the worker at some points of one operation, one after the other, and checks the ending.
func killed(t *testing.T, s scene, blows []blow) {
	for _, b := range blows {
		results.note(t, key{kind: "worker killed", fault: fmt.Sprintf("%s (%s)", b, s.name), ends: s.ends.String()})
	}
	own := s.home.settings
	s.home.settings = func(s *world.WorkerSettings) {
		if s.OrphanGrace = time.Nanosecond; own != nil {
			own(s)
		}
	}
	l := newLane(t, s.home)
	l.work()
	var ref api.Ref
	if s.prepare != nil {
		ref = s.prepare(l)
	}
	l.killer.arm(blows...)
	t.Cleanup(func() {
		if n := l.killer.strikes(); t.Failed() && n > 0 {
			t.Logf("the worker was killed %d times, of %v, last %s", n, blows, blows[n-1])
		}
	})
	s.act(l, ref)
	for i, b := range blows {
		l.until(fmt.Sprintf("the worker is killed %s", b), func() bool {
			if l.sweeping != nil && !l.busy() {
				l.beginSweep() // if a sweep has no result the next one follows, as on the schedule
			}
			if s.keeps && !l.busy() {
				l.keepSnapshots(ref) // the same is true of what keeps snapshots
			}
			return l.killer.strikes() > i
		})
	}
	if s.then != nil {
		s.then(l, ref)
	}
	if l.sweeping != nil {
		l.converge()
	}
	l.holds(s.ends)
}

// maxKills bounds the kills of a lane, so that one that fails says where.
const maxKills = 12

// TestShortFormKillsAtTheSamePoints compares the kills of the two forms: the short one has each point of each activity
// of each operation once, except those that another operation covers. No operation is left out.
func TestShortFormKillsAtTheSamePoints(t *testing.T) {
	for _, s := range allScenes() {
		listed := slices.Concat(s.activities...)
		var want, got []string
		for _, row := range killsOf(s, true) {
			if b := row.blows[0]; slices.Contains(listed, b.activity) {
				want = append(want, b.String())
			}
			if len(row.blows) > 1 {
				t.Errorf("%s: the long form kills at %v in one lane", s.name, row.blows)
			}
		}
		if len(s.activities) == 0 {
			t.Errorf("%s: nobody is killed in the short form: move some of %q to activities", s.name, s.also)
		}
		for _, row := range killsOf(s, false) {
			for _, b := range row.blows {
				got = append(got, b.String())
			}
			if len(row.blows) > maxKills {
				t.Errorf("%s: %d kills in the lane %s", s.name, len(row.blows), row.name)
			}
		}
		for _, row := range s.activities {
			if n := slices.IndexFunc(row, func(a string) bool { return tryOnce[a] != "" }); n >= 0 && len(row) > 1 {
				t.Errorf("%s: %s cannot be in a row: %s", s.name, row[n], tryOnce[row[n]])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if want = slices.Compact(want); !slices.Equal(got, want) || len(got) != len(moments)*len(listed) {
			t.Errorf("%s: the short form kills at %v, the long form at %v", s.name, got, want)
		}
	}
}

// TestWhatADeadWorkerSaidIsNoFurtherKill lets a killed worker report moments that were under way when it died.
func TestWhatADeadWorkerSaidIsNoFurtherKill(t *testing.T) {
	kills := 0
	k := &killer{kill: func() { kills++ }}
	k.arm(blow{activity: "Submit", moment: world.BeforeActivity}, blow{activity: "Submit", moment: during},
		blow{activity: "Submit", moment: world.AfterActivity}, blow{activity: "Await", moment: during})
	submit := func(when, worker string) {
		k.reached(world.ActivityMoment{When: when, Activity: "Submit", Worker: worker})
	}
	for n, report := range []func(){
		func() { submit(world.BeforeActivity, "a"); submit(world.BeforeActivity, "a"); k.called("Submit", "a") },
		func() { submit(world.BeforeActivity, "b"); k.called("Submit", "b"); submit(world.AfterActivity, "b") },
		func() { submit(world.BeforeActivity, "c"); k.called("Submit", "c"); submit(world.AfterActivity, "c") },
	} {
		if report(); kills != n+1 || k.strikes() != n+1 || k.hasStruck() {
			t.Fatalf("%d kills after the reports of worker %d; %v are due", kills, n, k.due)
		}
	}
}
