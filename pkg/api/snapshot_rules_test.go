package api_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

var snapshotNow = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// snapshotScene is a random state of a cluster's snapshots.
type snapshotScene struct {
	policy   api.SnapshotPolicy
	known    []api.Snapshot
	onServer []api.ServerSnapshot
	needed   map[string]bool
}

func newSnapshotScene(seed uint64) snapshotScene {
	r := rand.New(rand.NewPCG(seed, 1))
	every := []time.Duration{time.Minute, 30 * time.Minute, 6 * time.Hour}[r.IntN(3)]
	sc := snapshotScene{needed: map[string]bool{}, policy: api.SnapshotPolicy{Every: api.Duration(every).String(),
		Keep: 1 + r.IntN(6), KeepFor: api.Duration(every * time.Duration(1+r.IntN(20))).String()}}
	states := []api.SnapshotState{api.SnapshotTaken, api.SnapshotKept, api.SnapshotKept, api.SnapshotKept,
		api.SnapshotFailed, api.SnapshotLost, api.SnapshotWanted, api.SnapshotDeleting}
	reasons := []api.SnapshotReason{api.SnapshotScheduled, api.SnapshotScheduled, api.SnapshotScheduled,
		api.SnapshotAsked, api.SnapshotBeforeStop, api.SnapshotBeforeRestore}
	for i := range r.IntN(15) {
		s := api.Snapshot{Name: fmt.Sprintf("s%d", i), ClusterUID: "u", State: states[r.IntN(len(states))],
			Reason:  reasons[r.IntN(len(reasons))],
			TakenAt: snapshotNow.Add(-time.Duration(r.Int64N(int64(20 * every)))),
			File:    fmt.Sprintf("f%d", i), SealedBytes: 1 + r.Int64N(100), Place: api.SnapshotPlaceSkyd}
		s.OnMachine = s.State == api.SnapshotTaken
		switch r.IntN(6) {
		case 0:
			s.Check = &api.SnapshotCheck{AskedAt: snapshotNow}
		case 1:
			s.Check = &api.SnapshotCheck{At: snapshotNow, Result: api.SnapshotDamaged}
		}
		sc.needed[s.Name] = r.IntN(8) == 0
		sc.known = append(sc.known, s)
	}
	for i, number := range r.Perm(30)[:r.IntN(6)] {
		sc.onServer = append(sc.onServer, api.ServerSnapshot{File: fmt.Sprintf("f%d", number),
			Scheduled: r.IntN(4) > 0, TakenAt: snapshotNow.Add(-every * time.Duration(i+1) / 2)})
	}
	return sc
}

func forEachSnapshotScene(t *testing.T, check func(sc snapshotScene) error) {
	t.Helper()
	for seed := range uint64(3000) {
		if err := check(newSnapshotScene(seed)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// mayGo reports why a snapshot must not be removed by a rule.
func (sc snapshotScene) mayGo(s api.Snapshot) error {
	newest := api.NewestUsableSnapshot(sc.known)
	switch {
	case s.Reason != api.SnapshotScheduled:
		return fmt.Errorf("%s, taken because of %s, is removed", s.Name, s.Reason)
	case sc.needed[s.Name]:
		return fmt.Errorf("%s, which is needed, is removed", s.Name)
	case s.Check.IsDue():
		return fmt.Errorf("%s, which is being verified, is removed", s.Name)
	case newest != nil && newest.Name == s.Name:
		return fmt.Errorf("%s, the newest usable one, is removed", s.Name)
	case s.State == api.SnapshotWanted || s.State == api.SnapshotDeleting:
		return fmt.Errorf("%s, which is %s, is removed", s.Name, s.State)
	}
	return nil
}

func TestPruneKeepsWhatItMust(t *testing.T) {
	forEachSnapshotScene(t, func(sc snapshotScene) error {
		pruned := api.SnapshotsToPrune(sc.policy, sc.known, sc.needed, snapshotNow)
		left := slices.Clone(sc.known)
		for _, s := range pruned {
			if err := sc.mayGo(s); err != nil {
				return err
			}
			left = slices.DeleteFunc(left, func(l api.Snapshot) bool { return l.Name == s.Name })
		}
		if again := api.SnapshotsToPrune(sc.policy, left, sc.needed, snapshotNow); len(again) > 0 {
			return fmt.Errorf("%s is only pruned the second time", again[0].Name)
		}
		var newest time.Time
		for _, s := range sc.known {
			if (s.State == api.SnapshotKept || s.State == api.SnapshotTaken) && s.TakenAt.After(newest) {
				newest = s.TakenAt
			}
		}
		exist, free := 0, 0 // automatic ones that exist, and those of them that nothing protects
		for _, s := range left {
			if !s.IsAutomatic() || s.State != api.SnapshotKept && s.State != api.SnapshotTaken {
				continue
			}
			exist++
			if s.MayPrune(sc.needed) && newest.Sub(s.TakenAt) >= sc.policy.KeepDuration() {
				free++
			}
		}
		if free > 2 { // the newest and the newest usable one
			return fmt.Errorf("%d that are too old stay", free)
		}
		return nil
	})
}

func TestPruneKeepsAsManyAsThePolicySays(t *testing.T) {
	policy := api.SnapshotPolicy{Every: "30m", Keep: 3, KeepFor: "100h"}
	var known []api.Snapshot
	for i := range 6 {
		known = append(known, api.Snapshot{Name: fmt.Sprintf("s%d", i), Reason: api.SnapshotScheduled,
			State: api.SnapshotKept, TakenAt: snapshotNow.Add(-time.Duration(i) * time.Hour)})
	}
	known[4].Reason = api.SnapshotAsked
	pruned := api.SnapshotsToPrune(policy, known, nil, snapshotNow)
	if len(pruned) != 2 || pruned[0].Name != "s5" || pruned[1].Name != "s3" {
		t.Errorf("pruned %v", pruned)
	}
	policy.Keep, policy.KeepFor = 100, "90m"
	if pruned = api.SnapshotsToPrune(policy, known, nil, snapshotNow); len(pruned) != 3 {
		t.Errorf("pruned by age %v", pruned)
	}
}

// What is collected from a server is nothing that the next prune would remove, the newest one, and none twice.
func TestCollectedSnapshotsAreThoseThatStay(t *testing.T) {
	forEachSnapshotScene(t, func(sc snapshotScene) error {
		selected := api.SelectServerSnapshots(sc.policy, sc.known, sc.onServer, snapshotNow)
		after := slices.Clone(sc.known)
		files := map[string]bool{}
		for _, s := range sc.known {
			files[s.File] = true
		}
		for i, f := range selected {
			if !f.Scheduled || files[f.File] {
				return fmt.Errorf("%s is selected", f.File)
			}
			files[f.File] = true
			if i > 0 && f.TakenAt.After(selected[i-1].TakenAt) {
				return fmt.Errorf("%s comes before a newer one", selected[i-1].File)
			}
			after = append(after, api.Snapshot{Name: "new-" + f.File, Reason: api.SnapshotScheduled, ClusterUID: "u",
				State: api.SnapshotTaken, File: f.File, OnMachine: true, TakenAt: f.TakenAt})
		}
		for _, s := range api.SnapshotsToPrune(sc.policy, after, sc.needed, snapshotNow) {
			if strings.HasPrefix(s.Name, "new-") {
				return fmt.Errorf("%s is collected and pruned", s.Name)
			}
		}
		if again := api.SelectServerSnapshots(sc.policy, after, sc.onServer, snapshotNow); len(again) > 0 {
			return fmt.Errorf("%s is only selected the second time", again[0].File)
		}
		return nil
	})
}

func TestLaptopThatSleptCollectsTheNewestFirst(t *testing.T) {
	policy := api.SnapshotPolicy{} // every 30m
	known := []api.Snapshot{{Name: "old", Reason: api.SnapshotScheduled, State: api.SnapshotKept, File: "old",
		TakenAt: snapshotNow.Add(-8 * time.Hour)}}
	var onServer []api.ServerSnapshot
	for i := range 5 { // in no order
		at := snapshotNow.Add(-time.Duration((i*3)%5) * 30 * time.Minute)
		onServer = append(onServer, api.ServerSnapshot{File: at.Format("15:04"), Scheduled: true, TakenAt: at})
	}
	var files []string
	for _, f := range api.SelectServerSnapshots(policy, known, onServer, snapshotNow) {
		files = append(files, f.File)
	}
	if want := []string{"12:00", "11:30", "11:00", "10:30", "10:00"}; !slices.Equal(files, want) {
		t.Errorf("selected %q, want %q", files, want)
	}
	policy.Every = "6h" // the server still has the schedule of before
	if f := api.SelectServerSnapshots(policy, known, onServer, snapshotNow); len(f) != 1 || f[0].File != "12:00" {
		t.Errorf("selected %v", f)
	}
	policy.Every = api.SnapshotsOff
	if f := api.SelectServerSnapshots(policy, known, onServer, snapshotNow); len(f) != 0 {
		t.Errorf("selected %v", f)
	}
}

func TestRoomIsMadeOfWhatCanBeSpared(t *testing.T) {
	forEachSnapshotScene(t, func(sc snapshotScene) error {
		var total int64
		for _, want := range []int64{1, 50, 200, 100_000} {
			freed := api.SnapshotsToFree(sc.known, api.SnapshotPlaceSkyd, want,
				map[string]map[string]bool{"u": sc.needed})
			total = 0
			for _, s := range freed {
				if err := sc.mayGo(s); err != nil {
					return err
				}
				if s.State != api.SnapshotKept {
					return fmt.Errorf("%s is %s", s.Name, s.State)
				}
				total += s.SealedBytes
			}
			if len(freed) > 0 && (total < want || total-freed[len(freed)-1].SealedBytes >= want) {
				return fmt.Errorf("%d bytes are removed for %d", total, want)
			}
		}
		return nil
	})
}

func TestSkydTakesASnapshotOnlyIfTheServerDidNot(t *testing.T) {
	policy := api.SnapshotPolicy{Every: "30m"}
	taken := func(ago time.Duration) []api.Snapshot {
		return []api.Snapshot{{State: api.SnapshotKept, TakenAt: snapshotNow.Add(-ago)}}
	}
	for name, c := range map[string]struct {
		known []api.Snapshot
		due   bool
	}{
		"none":                    {nil, true},
		"the server's is due now": {taken(30 * time.Minute), false},
		"the server took none":    {taken(36 * time.Minute), true},
		"fresh":                   {taken(time.Minute), false},
		"a clock that is behind": {[]api.Snapshot{{State: api.SnapshotKept, TakenAt: snapshotNow.Add(-time.Hour),
			AskedAt: snapshotNow.Add(-time.Minute)}}, false},
		"only a lost one": {[]api.Snapshot{{State: api.SnapshotLost, TakenAt: snapshotNow}}, true},
	} {
		if got := api.IsSnapshotDue(policy, c.known, snapshotNow); got != c.due {
			t.Errorf("%s: %t", name, got)
		}
	}
	if api.IsSnapshotDue(api.SnapshotPolicy{Every: api.SnapshotsOff}, nil, snapshotNow) {
		t.Error("due although they are off")
	}
}

// The next look is never in the past, never far, and comes when the server's next snapshot should be there.
func TestNextLookComesInTime(t *testing.T) {
	forEachSnapshotScene(t, func(sc snapshotScene) error {
		next := api.NextSnapshotLook(sc.policy, sc.known, snapshotNow).Sub(snapshotNow)
		if next <= 0 || next > time.Hour {
			return fmt.Errorf("next look after %s", next)
		}
		for _, s := range sc.known {
			if s.IsPending() && next > time.Minute {
				return fmt.Errorf("%s is pending, and the next look is after %s", s.Name, next)
			}
		}
		return nil
	})
	known := []api.Snapshot{{State: api.SnapshotKept, TakenAt: snapshotNow.Add(-10 * time.Minute)}}
	next := api.NextSnapshotLook(api.SnapshotPolicy{Every: "30m"}, known, snapshotNow).Sub(snapshotNow)
	if next < 20*time.Minute || next > 21*time.Minute {
		t.Errorf("next look after %s", next)
	}
}

func TestRecordsFollowTheServerAndTheVault(t *testing.T) {
	server := api.Machine{Name: "sky-a-0", Incarnation: "new"}
	snapshot := func(name string, state api.SnapshotState, change func(*api.Snapshot)) api.Snapshot {
		s := api.Snapshot{Name: name, State: state, File: name, Machine: "sky-a-0", Incarnation: "new", OnMachine: true,
			Place: api.SnapshotPlaceSkyd, Object: "u/" + name}
		change(&s)
		return s
	}
	known := []api.Snapshot{
		snapshot("there", api.SnapshotTaken, func(*api.Snapshot) {}),
		snapshot("pruned", api.SnapshotKept, func(*api.Snapshot) {}),
		snapshot("gone", api.SnapshotTaken, func(*api.Snapshot) {}),
		snapshot("of-the-old-server", api.SnapshotTaken, func(s *api.Snapshot) { s.Incarnation = "old" }),
		snapshot("no-file", api.SnapshotKept, func(s *api.Snapshot) { s.OnMachine = false }),
		snapshot("back", api.SnapshotLost, func(s *api.Snapshot) { s.OnMachine = false }),
		snapshot("no-file-yet-on-machine", api.SnapshotKept, func(*api.Snapshot) {}),
	}
	got := map[string]string{}
	note := func(changed []api.Snapshot) {
		for _, s := range changed {
			got[s.Name] = fmt.Sprintf("%s %t", s.State, s.OnMachine)
			for i := range known {
				if known[i].Name == s.Name {
					known[i] = s
				}
			}
		}
	}
	note(api.CompareWithServer(known, server, []api.ServerSnapshot{{File: "there"}, {File: "of-the-old-server"},
		{File: "no-file-yet-on-machine"}}))
	note(api.CompareWithVault(known, api.SnapshotPlaceSkyd, map[string]bool{"u/pruned": true, "u/back": true}))
	want := map[string]string{"pruned": "Kept false", "gone": "Lost false", "of-the-old-server": "Lost false",
		"no-file": "Lost false", "back": "Kept false", "no-file-yet-on-machine": "Taken true"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
