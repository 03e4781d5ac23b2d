package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// worlds is the number of random worlds for each property. A failure names the seed of its world, counted from 0.
const worlds = 2000

func forEach(t *testing.T, try func(seed uint64) error) {
	t.Helper()
	for seed := range uint64(worlds) {
		if err := try(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// done reports whether only drift is left that skyctl only reports.
func done(d plan.Decision) bool {
	return !slices.ContainsFunc(d.Drift, func(x api.Drift) bool {
		return x.Reason != api.DriftNodeCordoned && x.Reason != api.DriftVersionSkew
	})
}

// asWanted compares the actual state with the records.
func (s *sim) asWanted() error {
	if len(s.machines) != s.c.Spec.MachineCount() {
		return fmt.Errorf("%d machines, want %d", len(s.machines), s.c.Spec.MachineCount())
	}
	for _, r := range s.c.Status.Machines {
		m, n := s.machines[r.Name], s.nodes[r.NodeName]
		if m == nil || m.incarnation != r.Incarnation || r.State != api.MachineReady || n == nil || !n.ready {
			return fmt.Errorf("%s (%s) is %+v with Node %+v", r.Name, r.State, m, n)
		}
	}
	for name := range s.nodes {
		if name != "user-joined" && !slices.ContainsFunc(s.c.Status.Machines,
			func(m api.Machine) bool { return m.NodeName == name }) {
			return fmt.Errorf("the extra Node %s still exists", name)
		}
	}
	if s.noKubeconfig || s.noGPU || s.noKeys || s.expire.Sub(s.now) < policy.ExpiresWithin {
		return fmt.Errorf("no kubeconfig: %v, no GPU: %v, no keys: %v, credentials expire %s", s.noKubeconfig, s.noGPU,
			s.noKeys, s.expire)
	}
	return nil
}

// converge runs rounds until no drift is left or the cluster fails.
func (s *sim) converge(rounds int) (plan.Decision, error) {
	var last plan.Decision
	for range rounds {
		_, d, err := s.round()
		if err != nil || d.Fail != nil {
			return d, err
		}
		if done(d) && s.lags+s.unasked+s.cutOff+s.blocked == 0 && s.asWanted() == nil {
			return d, nil
		}
		last = d
	}
	return last, fmt.Errorf("drift after %d rounds:\n%s\n(%w)", rounds, drift(last), s.asWanted())
}

func TestPlannerConvergesIfActionsSucceed(t *testing.T) {
	did := map[string]int{}
	forEach(t, func(seed uint64) error {
		s := newSim(seed, 1+int(seed%8))
		s.harm()
		head := s.machines["sky-x-0"]
		d, err := s.converge(180)
		if err != nil {
			return err
		}
		if d.Fail != nil {
			return fmt.Errorf("gave up: %s", d.Fail.Message)
		}
		if s.machines["sky-x-0"] != head {
			return fmt.Errorf("the head was replaced")
		}
		w, d, err := s.round()
		if err != nil || len(d.Actions) > 0 || len(plan.FindSuspects(s.c, w)) > 0 {
			return fmt.Errorf("requests %s for a cluster without drift (%v)", actions(d), err)
		}
		for kind, n := range s.seen {
			did[kind] += n
		}
		return nil
	})
	for _, kind := range carriedOut {
		if kind == api.ActionRecordAddress || kind == api.ActionReconfigure {
			continue // see TestMovedMachinesAreFoundAgain
		}
		if kind == api.ActionAddMachines || kind == api.ActionRemove || kind == api.ActionUpdateNode {
			continue // see TestChangingClusterConverges
		}
		if did[string(kind)] < worlds/50 {
			t.Errorf("%s was requested only %d times: the random worlds have too few faults", kind, did[string(kind)])
		}
	}
}

func TestPlannerConvergesOrFailsIfSomeActionsFail(t *testing.T) {
	gaveUp := 0
	forEach(t, func(seed uint64) error {
		s := newSim(seed, 1+int(seed%8))
		s.fails, s.dies = 0.1, 0.1
		s.harm()
		d, err := s.converge(1500)
		if d.Fail != nil {
			gaveUp++
			if !strings.Contains(d.Fail.Message, "Repairs tried:") {
				return fmt.Errorf("gave up without a history: %s", d.Fail.Message)
			}
		}
		return err
	})
	if gaveUp > worlds/10 {
		t.Errorf("gave up in %d of %d worlds", gaveUp, worlds)
	}
}

// TestRepairsAreBounded makes actions fail, stop midway or do nothing for a day, while new faults occur.
func TestRepairsAreBounded(t *testing.T) {
	failed := 0
	forEach(t, func(seed uint64) error {
		if seed%30 != 0 {
			return nil
		}
		s := newSim(seed, 1+int(seed/30%6))
		kinds := [][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.3, 0.3, 0.3}}
		kind := kinds[int(seed/30/6)%len(kinds)]
		s.fails, s.dies, s.idle = kind[0], kind[1], kind[2]
		s.harm()
		var all []api.Repair
		for range 24 * 60 {
			started := s.now
			_, d, err := s.round()
			if err != nil {
				return err
			}
			for _, a := range d.Actions {
				all = append(all, api.Repair{Action: a, At: started})
			}
			if d.Fail != nil {
				failed++
			}
			if s.chance(0.01) {
				s.lags, s.cutOff, s.blocked = s.r.IntN(3), s.r.IntN(3), s.r.IntN(5)
			}
		}
		return bounded(all)
	})
	if failed == 0 {
		t.Error("no cluster went to ERROR")
	}
}

// bounded counts repairs of each kind and target in each window.
func bounded(all []api.Repair) error {
	times := map[api.Action][]time.Time{}
	for _, r := range all {
		times[r.Action.RepairKey()] = append(times[r.Action.RepairKey()], r.At)
	}
	most := map[api.ActionKind]int{api.ActionReplace: 3 * policy.Replacements,
		api.ActionBringUp: 3 * policy.Replacements, api.ActionRestart: 3 * policy.Restarts}
	for k, at := range times {
		limit, ok := most[k.Kind]
		if !ok {
			limit = int(policy.Window/policy.Backoff) + 1
		}
		for i := range at {
			n := 0
			for j := i; j < len(at) && at[j].Sub(at[i]) < policy.Window; j++ {
				if n++; j > i && at[j].Sub(at[j-1]) < policy.Backoff {
					return fmt.Errorf("%+v again after %s", k, at[j].Sub(at[j-1]))
				}
			}
			if n > limit {
				return fmt.Errorf("%+v %d times within %s", k, n, policy.Window)
			}
		}
	}
	return nil
}

// garbage is a cluster and an observation that may be inconsistent or invalid.
func garbage(r *rand.Rand) (*api.Cluster, plan.Observation) {
	pick := func(n int) int { return r.IntN(n) }
	s := newScene(1 + pick(5))
	phases := []api.Phase{api.PhaseReady, api.PhaseReady, api.PhaseReady, api.PhaseError, api.PhaseInit,
		api.PhaseDeleting, "NONSENSE"}
	s.c.Status.Phase = phases[pick(len(phases))]
	states := []api.MachineState{api.MachineReady, api.MachineReady, api.MachineReserved, api.MachineLaunching,
		api.MachineUp, api.MachineTerminating, api.MachineGone, "", "NONSENSE"}
	at := func() time.Time { return noon.Add(time.Duration(pick(1200)-1000) * time.Minute) }
	for i := range s.c.Status.Machines {
		s.c.Status.Machines[i].State = states[pick(len(states))]
		if pick(20) == 0 {
			s.c.Status.Machines[i].Index = pick(9) - 2
		}
		s.garbleWishes(r, &s.c.Status.Machines[i])
	}
	reasons := []api.DriftReason{api.DriftAPISilent, api.DriftAPIUnreachable, api.DriftNodeNotReady, api.DriftUnitDead,
		api.DriftNodeMissing, api.DriftMachineGone, api.DriftHeadLost}
	for i := range pick(60) {
		name := []string{"", "sky-x-0", "sky-x-1", "sky-x-2", "sky-x-9"}[pick(5)]
		s.c.Status.Drift = append(s.c.Status.Drift,
			api.Drift{Machine: name, Reason: reasons[pick(len(reasons))], Since: at()})
		rep := api.Repair{ID: fmt.Sprint(i), At: at(), Error: []string{"", "no"}[pick(2)]}
		rep.Action = api.Action{Kind: carriedOut[pick(len(carriedOut))], Index: pick(7) - 1, Machine: name,
			Incarnation: fmt.Sprintf("inc%d", pick(4))}
		if pick(2) == 0 {
			rep.Ended = at()
		}
		if pick(4) == 0 {
			s.c.Status.Repairs = append(s.c.Status.Repairs, rep)
		}
	}
	if pick(10) == 0 {
		setMachineCount(s.c, []int{-3, 0, 1 << 40, 2}[pick(4)])
	}
	if pick(10) == 0 {
		s.c.Status.PausedAt = noon
	}
	s.garbleRestores(r, at)
	s.w = garbageWorld(r, at)
	if pick(5) == 0 {
		s.garbleLoss(r)
	}
	for range pick(4) * pick(2) {
		a := api.Action{Kind: carriedOut[pick(len(carriedOut))], Index: pick(6) - 1,
			Pool: []string{"default", "gpu", "gone"}[pick(3)]}
		a.Machine, a.Incarnation = api.MachineName("x", a.Index), fmt.Sprintf("inc%d", a.Index)
		s.w.InFlight = append(s.w.InFlight, a)
	}
	return s.c, s.w
}

// garbleRestores makes random restores wanted or past.
func (s *scene) garbleRestores(r *rand.Rand, at func() time.Time) {
	pick := func(n int) int { return r.IntN(n) }
	switch pick(20) {
	case 0:
		s.c.Status.Restore = &api.RestoreRequest{ID: "restore-1", Snapshot: "auto-0"}
	case 1:
		s.c.Status.Stop = &api.StopRequest{AskedAt: noon}
	case 2, 3:
		s.c.Spec.OnServerLoss = api.OnServerLossWait
	case 4, 5:
		s.c.Spec.MaxSnapshotAge = "72h"
	}
	for i := range pick(5) * pick(2) {
		s.c.Status.Repairs = append(s.c.Status.Repairs, api.Repair{ID: fmt.Sprint("restore-", i), At: at(),
			Action: api.Action{Kind: api.ActionRestore, Index: pick(2), Machine: "sky-x-0"}})
	}
}

// garbleLoss makes the head look lost, with something that may say otherwise.
func (s *scene) garbleLoss(r *rand.Rand) {
	pick := func(n int) int { return r.IntN(n) }
	s.c.Status.Phase, s.w.APIError, s.w.CloudError = api.PhaseReady, "silent", []string{"", "", "", "403"}[pick(4)]
	s.w.Listed = slices.DeleteFunc(s.w.Listed,
		func(l plan.ListedMachine) bool { return pick(4) > 0 || l.Index == 0 && pick(9) > 0 })
	s.w.Units[0] = plan.RKE2Unit{Reached: pick(6) == 0, Active: "active"}
	s.drifting("sky-x-0", api.DriftHeadLost, time.Duration(pick(30))*time.Minute)
}

// garbleWishes requests random things of a machine and of pools.
func (s *scene) garbleWishes(r *rand.Rand, m *api.Machine) {
	pick := func(n int) int { return r.IntN(n) }
	m.ReplaceAsked, m.Replacement = pick(8) == 0, pick(6) == 0
	switch pick(12) {
	case 0:
		m.Leaving = api.LeaveDeleted
	case 1:
		m.ReadyAt = time.Time{}
	case 2:
		m.Pool = []string{"gpu", "gone"}[pick(2)]
	case 3:
		s.c.Spec.Pools[0].Replicas = pick(6)
	case 4:
		s.c.Spec.Pools[0].MaxUnavailable = pick(4) - 1
	case 5:
		s.c.Spec.Pools = append(s.c.Spec.Pools[:1:1], api.Pool{Name: "gpu", Replicas: pick(3)})
	}
}

func garbageWorld(r *rand.Rand, at func() time.Time) plan.Observation {
	pick := func(n int) int { return r.IntN(n) }
	w := plan.Observation{At: noon, Nodes: map[string]plan.Node{}, Units: map[int]plan.RKE2Unit{},
		CanStart: pick(2) == 0, KubeconfigFile: []string{"", "the kubeconfig file is missing"}[pick(2)]}
	for range pick(9) {
		i := pick(7) - 1
		name := []string{api.MachineName("x", i), api.MachineName("x", i), "", "foreign"}[pick(4)]
		w.Listed = append(w.Listed, plan.ListedMachine{Name: name, Index: i, Incarnation: fmt.Sprintf("inc%d", pick(3)),
			Stopped: pick(3) == 0, Unknown: pick(12) == 0})
	}
	if pick(3) > 0 {
		w.Snapshot = &api.Snapshot{Name: "auto-1", ClusterUID: "uid", TakenAt: at()}
	}
	for _, name := range []string{"sky-x-0-inc0", "sky-x-1-inc1", "sky-x-2-inc2", "sky-x-3-inc3", "sky-x-1-old",
		"foreign", "sky-y-1-a"} {
		if pick(3) > 0 {
			w.Nodes[name] = plan.Node{Ready: pick(2) == 0, Since: at(), Cordoned: pick(5) == 0,
				Kubelet: []string{"", release, "v1"}[pick(3)]}
		}
	}
	for i := range pick(6) {
		w.Units[i] = plan.RKE2Unit{Reached: pick(2) == 0,
			Active: []string{"active", "failed", "inactive", "activating", "?"}[pick(5)], Since: at(),
			Health: []plan.Health{plan.HealthUnknown, plan.Healthy, plan.Unhealthy}[pick(3)]}
	}
	w.APIError = []string{"", "", "silent"}[pick(3)]
	w.CloudError = []string{"", "", "", "403"}[pick(4)]
	w.GPU = []string{"", "0 of 8"}[pick(2)]
	w.CredentialsExpire = []time.Time{{}, noon, noon.AddDate(1, 0, 0)}[pick(3)]
	return w
}

func TestNoDecisionIsHarmful(t *testing.T) {
	forEach(t, func(seed uint64) error {
		r := rand.New(rand.NewPCG(seed, 2))
		for range 8 {
			c, w := garbage(r)
			before, err := json.Marshal([]any{c, w})
			if err != nil {
				return err
			}
			d := plan.Decide(c, w, policy)
			if again := plan.Decide(c, w, policy); !reflect.DeepEqual(d, again) {
				return fmt.Errorf("two decisions differ:\n%+v\n%+v", d, again)
			}
			if n := len(plan.FindSuspects(c, w)); n > 20 {
				return fmt.Errorf("%d suspects", n)
			}
			if after, _ := json.Marshal([]any{c, w}); string(after) != string(before) {
				return fmt.Errorf("a decision changed its input")
			}
			_ = plan.ValidateCluster(c)
			if err := holds(c, w, d); err != nil {
				return fmt.Errorf("%w\nactions %s\n%s\nof %s", err, actions(d), drift(d), before)
			}
		}
		return nil
	})
}

func TestClusterInSyncNeedsNoAction(t *testing.T) {
	for _, n := range []int{1, 2, 3, 50, api.MaxNumNodes} {
		s := newScene(n)
		for i := range n { // with any earlier repairs
			s.repaired(api.ActionRestart, i, time.Duration(i)*time.Minute, "no")
		}
		d := check(t, s)
		if len(d.Drift)+len(d.Actions)+len(plan.FindSuspects(s.c, s.w)) > 0 || d.Fail != nil {
			t.Errorf("%d machines: actions %q\n%s", n, actions(d), drift(d))
		}
		for _, c := range d.Conditions {
			if c.Status != api.ConditionTrue {
				t.Errorf("%d machines: %+v", n, c)
			}
		}
	}
}
