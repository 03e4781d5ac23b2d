package plan_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// holdsRestore checks that only a head is restored that is gone for certain, and that nothing else happens meanwhile.
func holdsRestore(c *api.Cluster, w plan.Observation, d plan.Decision) error {
	if d.Restore == nil {
		return nil
	}
	lost := slices.IndexFunc(c.Status.Machines, func(m api.Machine) bool { return m.Role == api.RoleHead })
	if lost < 0 {
		return errors.New("restores a cluster without a head")
	}
	head := c.Status.Machines[lost]
	restores := 0
	for _, r := range c.Status.Repairs {
		if r.Action.Kind == api.ActionRestore && r.Action.Index == head.Index && !r.At.After(w.At) &&
			r.At.After(w.At.Add(-policy.Backoff)) {
			return fmt.Errorf("restores again, %s after %+v", w.At.Sub(r.At), r)
		}
		if r.Action.Kind == api.ActionRestore && r.Action.Index == head.Index && r.At.After(w.At.Add(-policy.Window)) &&
			!r.At.After(w.At) {
			restores++
		}
	}
	switch {
	case len(d.Actions)+len(d.Stop) > 0 || d.Fail != nil:
		return fmt.Errorf("restores the head, and %s, and fails: %v", actions(d), d.Fail)
	case c.Status.Phase != api.PhaseReady, !c.Status.PausedAt.IsZero(), c.Status.Restore != nil, c.Status.Stop != nil,
		!c.Spec.RestoresLostServer(), restores >= policy.Replacements:
		return fmt.Errorf("restores a cluster that must not be: %+v", c.Status)
	case w.CloudError != "", w.APIError == "", w.Units[head.Index].Reached, len(w.KeysMissing) > 0:
		return fmt.Errorf("restores a head of which too little is known: %+v", w)
	case slices.ContainsFunc(w.Listed, func(l plan.ListedMachine) bool { return l.Name == head.Name || l.Unknown }):
		return fmt.Errorf("restores a head that is listed, or a list that is not complete: %+v", w.Listed)
	case w.Snapshot == nil || w.At.Sub(w.Snapshot.TakenAt) >= c.Spec.SnapshotAgeLimit(),
		w.Snapshot.IsFromFuture(w.At):
		return fmt.Errorf("restores from %+v", w.Snapshot)
	case d.Restore.Snapshot != w.Snapshot.Name || d.Restore.SnapshotUID != w.Snapshot.ClusterUID ||
		d.Restore.Mode != api.RestoreNewServer || d.Restore.Reason != api.RestoreServerLost ||
		d.Restore.LostServer != head.Incarnation:
		return fmt.Errorf("requests %+v", d.Restore)
	}
	for _, old := range c.Status.Drift { // the first time is that of an earlier list
		if old.Machine == head.Name && old.Reason == api.DriftHeadLost && !old.Since.IsZero() &&
			w.At.Sub(old.Since) >= policy.NotReadyFor {
			return nil
		}
	}
	return errors.New("restores a head that was just lost")
}

// keep makes a snapshot of an age the newest usable one.
func (s *scene) keep(age time.Duration) {
	s.w.Snapshot = &api.Snapshot{Name: "auto-1", ClusterUID: "uid", TakenAt: s.w.At.Add(-age)}
}

// lostHead is a lost head with a snapshot of an age.
func lostHead(age time.Duration, further func(*scene)) func(*scene) {
	return func(s *scene) {
		s.lose(0, 5*time.Minute)
		s.keep(age)
		further(s)
	}
}

const restoring = "sky-x-0 HeadLost: the server is restored from auto-1 (12m old)"

func TestLostHeadIsRestored(t *testing.T) {
	for what, further := range map[string]func(*scene){
		"at once":              func(*scene) {},
		"a worker is gone too": func(s *scene) { s.unlist(2) },
		"after two restores": func(s *scene) {
			s.repaired(api.ActionRestore, 0, time.Hour, "")
			s.repaired(api.ActionRestore, 0, 2*time.Hour, "it failed")
		},
		"after three, long ago": func(s *scene) {
			for range 3 {
				s.repaired(api.ActionRestore, 0, 7*time.Hour, "")
			}
		},
		"it was not brought up": func(s *scene) { s.record(0).State = api.MachineReserved },
	} {
		s := newScene(4)
		lostHead(12*time.Minute, further)(s)
		d := check(t, s)
		if d.Restore == nil || !strings.Contains(drift(d), restoring) || d.Doing != "restoring the server from auto-1" {
			t.Errorf("%s: restores %+v, fails with %+v, does %q\n%s", what, d.Restore, d.Fail, d.Doing, drift(d))
		}
	}
}

func TestLostHeadIsNotRestoredAtOnce(t *testing.T) {
	hold(t, []rule{
		{"it has just been lost", func(s *scene) { s.lose(0, 4*time.Minute); s.keep(12 * time.Minute) }, "",
			restoring + " at 12:01:00Z if it is not back by then", ""},
		{"it was not checked", func(s *scene) { s.gone(0); s.silent(); s.keep(time.Minute) }, "",
			"HeadLost: it is checked over SSH", ""},
		{"it answers over SSH", lostHead(time.Hour, func(s *scene) { s.unit(0, "failed") }), "",
			"MachineGone: no action: the cloud's list", ""},
		{"the state of another machine is unknown", lostHead(time.Hour,
			func(s *scene) { s.w.Listed[1].Unknown = true }), "",
			"sky-x-0 MachineGone: no action until the cloud answers about sky-x-2", ""},
		{"after a restore that failed", lostHead(12*time.Minute, func(s *scene) {
			s.repaired(api.ActionRestore, 0, 4*time.Minute, "the file is damaged")
		}), "", restoring + " at 12:02:00Z (back-off after a recent attempt)", ""},
		{"the keys are lost", lostHead(time.Hour, func(s *scene) { s.w.KeysMissing = []string{"ssh-key"} }),
			"RestoreKeys", "sky-x-0 HeadLost: no action until the keys of the cluster are restored", ""},
		{"repairs are paused", lostHead(time.Hour, func(s *scene) { s.c.Status.PausedAt = noon }), "",
			"sky-x-0 HeadLost: no action: repairs are paused", ""},
		{"a restore is wanted", lostHead(time.Hour,
			func(s *scene) { s.c.Status.Restore = &api.RestoreRequest{Snapshot: "mine"} }), "",
			"sky-x-0 HeadLost: no action until the cluster is restored from snapshot mine", ""},
		{"an action runs on it", lostHead(time.Hour, func(s *scene) {
			s.w.InFlight = []api.Action{{Kind: api.ActionRestart, Index: 0, Machine: "sky-x-0"}}
		}), "", "sky-x-0 HeadLost: RKE2 is being restarted", ""},
	})
}

func TestClusterFailsIfItsLostHeadCannotBeRestored(t *testing.T) {
	const command = "skyctl restore cluster x --snapshot auto-1 (with --new-machines it ends the workers"
	hold(t, []rule{
		{"no snapshot", func(s *scene) { s.lose(0, time.Hour) }, "", "HeadLost: the cluster goes to ERROR",
			"HeadLost: sky-x-0, the head, is lost|no snapshot of it is kept off the machines|save their data"},
		{"no usable snapshot", func(s *scene) { s.lose(0, time.Hour); s.w.NoSnapshot = "all are damaged" }, "", "",
			"without a person: all are damaged."},
		{"a person decides", lostHead(time.Hour, func(s *scene) { s.c.Spec.OnServerLoss = api.OnServerLossWait }), "",
			"", "on_server_loss is wait|state of 2026-03-01T11:00:00Z|" + command},
		{"too old", lostHead(27*time.Hour, func(*scene) {}), "", "",
			"auto-1, is 27h old, and max_snapshot_age is 24h|" + command},
		{"too old for the spec", lostHead(2*time.Hour, func(s *scene) { s.c.Spec.MaxSnapshotAge = "1h" }), "", "",
			"auto-1, is 120m old, and max_snapshot_age is 60m|" + command},
		{"of an unknown age", lostHead(-time.Hour, func(*scene) {}), "", "",
			"auto-1, seems to be of 2026-03-01T13:00:00Z, in the future|" + command},
		{"restored too often", lostHead(time.Hour, func(s *scene) {
			for i := range 3 {
				s.repaired(api.ActionRestore, 0, time.Duration(i+1)*time.Hour, "")
			}
		}), "", "", "3 restores within 6h failed or did not last|" + command},
		{"another machine has its name", lostHead(time.Hour, func(s *scene) {
			s.w.Listed = append(s.w.Listed, plan.ListedMachine{Name: "sky-x-0", Incarnation: "old"})
		}), "", "", "the cloud lists another machine named sky-x-0"},
	})
	s := newScene(2)
	s.lose(0, 4*time.Minute)
	if d := check(t, s); !strings.Contains(drift(d), "HeadLost: the cluster goes to ERROR at 12:01:00Z if") {
		t.Error(drift(d))
	}
}

func TestRandomWorldsHaveLostHeads(t *testing.T) {
	restored := 0
	for seed := range uint64(worlds) {
		if c, w := garbage(rand.New(rand.NewPCG(seed, 2))); plan.Decide(c, w, policy).Restore != nil {
			restored++
		}
	}
	if restored < worlds/100 {
		t.Errorf("%d of %d lost heads are restored: TestNoDecisionIsHarmful proves too little", restored, worlds)
	}
}

func TestStoppedHeadIsStartedInsteadOfRestored(t *testing.T) {
	s := newScene(2)
	s.stop(0)
	s.silent()
	s.unreachable(0)
	s.drifting("sky-x-0", api.DriftHeadLost, time.Hour)
	s.keep(time.Minute)
	if d := check(t, s); actions(d) != "StartMachine sky-x-0" || d.Restore != nil {
		t.Errorf("does %q, restores %+v", actions(d), d.Restore)
	}
}

func TestMachinesAreKeptAfterARestoreThatFailed(t *testing.T) {
	s := newScene(3)
	s.c.Status.SetPhase(api.PhaseError, "WrongToken", noon)
	s.c.Status.Restore = &api.RestoreRequest{ID: "restore-1", Snapshot: "auto-1", FailedAt: noon}
	if d := check(t, s); len(d.Actions)+len(d.Drift) > 0 {
		t.Errorf("does %q\n%s", actions(d), drift(d))
	}
}

func TestSnapshotIsNeededOnlyIfTheHeadMayBeLost(t *testing.T) {
	for want, harm := range map[bool]func(*scene){
		true:  func(s *scene) { s.lose(0, time.Minute) },
		false: func(s *scene) { s.gone(1); s.silent(); s.unreachable(0) },
	} {
		s := newScene(2)
		if plan.NeedsSnapshot(s.c, s.w) {
			t.Error("it is needed for a healthy cluster")
		}
		harm(s)
		if got := plan.NeedsSnapshot(s.c, s.w); got != want {
			t.Errorf("needed: %v, want %v", got, want)
		}
	}
}

func TestClusterInErrorIsNotRestoredWithoutAPerson(t *testing.T) {
	s := newScene(2)
	lostHead(time.Minute, func(*scene) {})(s)
	s.c.Status.SetPhase(api.PhaseError, string(api.DriftHeadLost), noon)
	if d := check(t, s); d.Restore != nil || len(d.Actions) > 0 {
		t.Errorf("restores %+v, does %q", d.Restore, actions(d))
	}
}

// TestLostHeadIsRestoredOnceForEachLoss loses heads again and again: each one is restored once, until the bound is
// reached.
func TestLostHeadIsRestoredOnceForEachLoss(t *testing.T) {
	failed := 0
	forEach(t, func(seed uint64) error {
		if seed%10 != 0 {
			return nil
		}
		s := newSim(seed, 1+int(seed/10%6))
		r := rand.New(rand.NewPCG(seed, 3))
		lost, restored := 0, 0
		var at []time.Time
		for range 12 * 60 {
			head := s.machines[s.headName()]
			if head != nil && r.IntN(40) == 0 {
				delete(s.machines, s.headName())
				lost++
			}
			if r.IntN(50) == 0 {
				s.lags, s.cutOff, s.blocked, s.unasked = r.IntN(3), r.IntN(9), r.IntN(9), r.IntN(5)
			}
			s.snapshot = &api.Snapshot{Name: "auto-1", ClusterUID: "uid", TakenAt: s.now.Add(-20 * time.Minute)}
			_, d, err := s.round()
			if err != nil {
				return err
			}
			if d.Fail != nil {
				failed++
				break
			}
			if d.Restore != nil {
				restored++
				at = append(at, s.now)
				if head := s.machines[s.headName()]; head != nil {
					return errors.New("restores a head that exists")
				}
				s.restoreHead(*d.Restore)
			}
		}
		if restored > lost {
			return fmt.Errorf("%d restores of %d lost heads", restored, lost)
		}
		for i := policy.Replacements; i < len(at); i++ {
			if within := at[i].Sub(at[i-policy.Replacements]); within < policy.Window {
				return fmt.Errorf("%d restores within %s", policy.Replacements+1, within)
			}
		}
		return nil
	})
	if failed == 0 {
		t.Error("no cluster went to ERROR")
	}
}

// restoreHead carries out a restore as its operation does.
func (s *sim) restoreHead(request api.RestoreRequest) {
	head := s.recordOf(s.headName())
	s.launched++
	s.c.Status.BeginRepair(api.Repair{ID: fmt.Sprint("restore-", s.launched), At: s.now, Ended: s.now,
		Action: api.Action{Kind: api.ActionRestore, Index: head.Index, Machine: head.Name,
			Incarnation: request.LostServer}})
	delete(s.nodes, head.NodeName)
	restored := api.NewMachine(s.c.Metadata.Name, head.Index, "", fmt.Sprint("restored", s.launched), head.Placement,
		s.now)
	*head = restored
	head.SetState(api.MachineReady, "", s.now)
	s.machines[head.Name] = &simMachine{index: head.Index, incarnation: head.Incarnation, active: "active"}
	s.nodes[head.NodeName] = &simNode{ready: true, since: s.now}
}
