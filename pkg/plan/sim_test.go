package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// sim is a world in which actions have effects: a cloud with unique machine names that terminates by name, Nodes that
// follow their machines, and the operation's record of repairs.
type sim struct {
	r   *rand.Rand
	now time.Time
	c   *api.Cluster

	machines map[string]*simMachine
	nodes    map[string]*simNode
	before   []plan.ListedMachine // an earlier list of the cloud

	canStart, noKubeconfig, noGPU, noKeys bool
	expire                                time.Time

	// lags, unasked and cutOff are for how many observations the cloud's list is out of date, the cloud cannot be
	// queried, and API and SSH are unreachable. blocked is the same for the API only.
	lags, unasked, cutOff, blocked int
	// fails is the probability that an action fails, dies that it stops without a record, idle that it does nothing and
	// reports success.
	fails, dies, idle float64

	// snapshot is the newest usable one.
	snapshot *api.Snapshot

	inFlight []api.Action
	launched int
	seen     map[string]int // actions by kind
}

type simMachine struct {
	index       int
	incarnation string
	stopped     bool
	active      string    // of its unit
	hung        bool      // restarting does not help
	deaf        bool      // SSH does not answer
	heals       time.Time // until then its Node is not Ready
	bare        bool      // RKE2 was never installed
	// launchedWith is the machine spec with which it was launched.
	launchedWith api.MachineSpec
}

type simNode struct {
	settings api.NodeSettings
	ready    bool
	since    time.Time
	cordoned bool
	pods     int
}

func newSim(seed uint64, numNodes int) *sim {
	s := &sim{
		r: rand.New(rand.NewPCG(seed, 1)), now: noon, c: newScene(numNodes).c, machines: map[string]*simMachine{},
		nodes:    map[string]*simNode{},
		canStart: true, expire: noon.AddDate(2, 0, 0), seen: map[string]int{},
	}
	for _, m := range s.c.Status.Machines {
		s.machines[m.Name] = &simMachine{index: m.Index, incarnation: m.Incarnation, active: "active"}
		s.nodes[m.NodeName] = &simNode{ready: true, since: noon.Add(-time.Hour)}
	}
	return s
}

func (s *sim) chance(p float64) bool { return s.r.Float64() < p }

func (s *sim) nodeOf(name string) string {
	m := s.machines[name]
	return api.NodeName(s.c.Metadata.Name, m.index, m.incarnation)
}

func (s *sim) headName() string {
	head, err := s.c.Head()
	if err != nil {
		return ""
	}
	return head.Name
}

// serves reports whether the head's API answers.
func (s *sim) serves() bool {
	head := s.machines[s.headName()]
	return s.cutOff == 0 && s.blocked == 0 && head != nil && !head.stopped && !head.bare && head.active == "active"
}

// settle makes Nodes follow their machines.
func (s *sim) settle() {
	healthy := map[string]bool{}
	for name, m := range s.machines {
		healthy[s.nodeOf(name)] = !m.stopped && !m.hung && !m.bare && m.active == "active" && !s.now.Before(m.heals)
	}
	for name, n := range s.nodes {
		if n.ready != healthy[name] {
			n.ready, n.since = healthy[name], s.now
		}
	}
}

func (s *sim) listing() []plan.ListedMachine {
	var all []plan.ListedMachine
	for name, m := range s.machines {
		all = append(all, plan.ListedMachine{Name: name, Index: m.index, Incarnation: m.incarnation,
			Stopped: m.stopped})
	}
	slices.SortFunc(all, func(a, b plan.ListedMachine) int { return a.Index - b.Index })
	return all
}

// look returns what a sweep observes.
func (s *sim) look() plan.Observation {
	s.settle()
	w := plan.Observation{At: s.now, CredentialsExpire: s.expire, CanStart: s.canStart, Listed: s.listing(),
		InFlight: slices.Clone(s.inFlight), Snapshot: s.snapshot}
	if s.noKubeconfig {
		w.KubeconfigFile = "the kubeconfig file is missing"
	}
	if s.noKeys {
		w.KeysMissing = []string{"ssh-key"}
	}
	if s.lags > 0 {
		w.Listed = s.before
	}
	s.before = s.listing()
	if s.unasked > 0 {
		w.CloudError, w.Listed = "503", nil
	}
	if s.serves() {
		w.Nodes = map[string]plan.Node{}
		for name, n := range s.nodes {
			w.Nodes[name] = plan.Node{Ready: n.ready, Since: n.since, Why: "why", Cordoned: n.cordoned,
				Pods: n.pods, Kubelet: release, Labels: n.settings.Labels, Taints: n.settings.Taints}
		}
		if s.noGPU {
			w.GPU = "0 of 8"
		}
	} else {
		w.APIError, w.CredentialsExpire = "connection refused", time.Time{}
	}
	w.Units = map[int]plan.RKE2Unit{}
	for _, i := range plan.FindSuspects(s.c, w) {
		w.Units[i] = s.unit(i)
	}
	return w
}

func (s *sim) unit(i int) plan.RKE2Unit {
	name := api.MachineName(s.c.Metadata.Name, i)
	m := s.machines[name]
	if s.noKeys || s.cutOff > 0 || m == nil || m.stopped || m.deaf || m.incarnation != s.recordOf(name).Incarnation {
		return plan.RKE2Unit{Error: "no route to host"}
	}
	u := plan.RKE2Unit{Reached: true, Active: m.active, Health: plan.Healthy}
	if m.active != "active" || m.bare {
		u.Health = plan.Unhealthy
	}
	return u
}

// round runs a sweep and the repair that it starts.
func (s *sim) round() (plan.Observation, plan.Decision, error) {
	w := s.look()
	d := plan.Decide(s.c, w, policy)
	if err := holds(s.c, w, d); err != nil {
		return w, d, fmt.Errorf("%s: %w\nactions %s\n%s", formatClockTime(s.now), err, actions(d), drift(d))
	}
	if err := s.untouched(w, d); err != nil {
		return w, d, fmt.Errorf("%s: %w", formatClockTime(s.now), err)
	}
	s.c.Status.SetDrift(slices.Clone(d.Drift), s.now)
	for _, a := range d.Actions {
		s.carryOut(a)
	}
	if len(d.Actions) > 0 {
		s.now = s.now.Add(time.Minute)
	}
	if d.Fail != nil {
		s.c.Status.SetPhase(api.PhaseError, d.Fail.Reason, s.now)
	}
	s.now = s.now.Add(time.Minute)
	s.lags, s.unasked, s.cutOff, s.blocked = max(0, s.lags-1), max(0, s.unasked-1), max(0, s.cutOff-1), max(0,
		s.blocked-1)
	if wanted := s.c.Spec.MachineCount(); s.launched > 0 && len(s.machines) > wanted && !s.hasExtra() {
		return w, d, fmt.Errorf("%s: %d machines, want %d", formatClockTime(s.now), len(s.machines), wanted)
	}
	return w, d, nil
}

func (s *sim) hasExtra() bool {
	for name := range s.machines {
		if s.recordOf(name) == nil {
			return true
		}
	}
	return false
}

// untouched checks that no action changes a healthy machine, even if the cloud's list is wrong.
func (s *sim) untouched(w plan.Observation, d plan.Decision) error {
	for _, a := range d.Actions {
		m, ok := s.machines[a.Machine]
		r := s.recordOf(a.Machine)
		if a.Kind == api.ActionRefresh || a.Kind == api.ActionGPU || a.Kind == api.ActionDisarm || !ok || r == nil {
			continue
		}
		if a.Kind == api.ActionRemove || a.Kind == api.ActionUpdateNode || a.Kind == api.ActionReplace &&
			(r.ReplaceAsked || a.Reason == api.DriftMachineOutdated) {
			continue // see holdsPools
		}
		if w.APIError == "" && r.State == api.MachineReady && m.incarnation == r.Incarnation &&
			w.Nodes[r.NodeName].Ready && m.active == "active" {
			return fmt.Errorf("%s of %s, which is healthy", a.Kind, a.Machine)
		}
	}
	return nil
}

func (s *sim) recordOf(name string) *api.Machine {
	for i := range s.c.Status.Machines {
		if s.c.Status.Machines[i].Name == name {
			return &s.c.Status.Machines[i]
		}
	}
	return nil
}

// carryOut runs an action and records it like the operation.
func (s *sim) carryOut(a api.Action) {
	s.seen[string(a.Kind)]++
	r := api.Repair{ID: fmt.Sprint(len(s.c.Status.Repairs), s.now.Unix(), a.Kind, a.Index, a.Machine), Action: a,
		At: s.now}
	s.c.Status.BeginRepair(r)
	switch roll := s.r.Float64(); {
	case roll < s.dies:
		if a.Kind == api.ActionReplace && s.chance(0.5) {
			s.terminate(a.Machine)
		}
		return
	case roll < s.dies+s.fails:
		if a.Kind == api.ActionReplace && s.chance(0.5) {
			s.terminate(a.Machine)
		}
		s.c.Status.EndRepair(r.ID, "no capacity", s.now.Add(time.Minute))
		return
	case roll < s.dies+s.fails+s.idle:
		s.c.Status.EndRepair(r.ID, "", s.now.Add(time.Minute))
		return
	}
	failure := s.effect(a)
	s.c.Status.EndRepair(r.ID, failure, s.now.Add(time.Minute))
}

// effect runs an action and returns why it failed.
func (s *sim) effect(a api.Action) string {
	m := s.machines[a.Machine]
	switch a.Kind {
	case api.ActionTerminate:
		if m != nil && m.incarnation == a.Incarnation {
			delete(s.machines, a.Machine)
		}
	case api.ActionForgetNode:
		delete(s.nodes, a.Node)
	case api.ActionStartMachine:
		if m == nil {
			return "no such machine"
		}
		m.stopped, m.active = false, "active"
		return s.joined(a.Machine)
	case api.ActionRestart:
		if m == nil || m.stopped || m.deaf || s.cutOff > 0 {
			return "SSH does not answer"
		}
		m.active = "active"
		return s.joined(a.Machine)
	case api.ActionReplace:
		return s.replace(a)
	case api.ActionBringUp:
		return s.bringUp(a.Machine)
	case api.ActionDisarm:
		if m == nil || m.deaf {
			return "SSH does not answer"
		}
		s.recordOf(a.Machine).PowerOffAt = time.Time{}
	case api.ActionRefresh:
		s.expire = s.now.AddDate(1, 0, 0)
	case api.ActionRestoreKeys:
		s.noKeys = false
	case api.ActionWriteKubeconfig:
		s.noKubeconfig = false
	case api.ActionGPU:
		s.noGPU = false
	case api.ActionUpdateNode:
		return s.updateNode(a.Machine, true)
	}
	return ""
}

// joined creates a machine's Node if possible: the Node's password prevents another incarnation from using it.
func (s *sim) joined(name string) string {
	m := s.machines[name]
	if r := s.recordOf(name); r == nil || r.Incarnation != m.incarnation || m.hung || m.bare {
		return "its Node is not Ready"
	}
	s.recordOf(name).SetState(api.MachineReady, "", s.now)
	if node := s.nodeOf(name); s.nodes[node] == nil {
		s.nodes[node] = &simNode{since: s.now, settings: s.registeredSettings(name)}
	}
	s.settle()
	return ""
}

// terminate terminates the machine of a record.
func (s *sim) terminate(name string) {
	r := s.recordOf(name)
	r.State = api.MachineGone
	if m := s.machines[name]; m != nil && m.incarnation == r.Incarnation {
		delete(s.machines, name)
	}
}

func (s *sim) replace(a api.Action) string {
	delete(s.nodes, s.recordOf(a.Machine).NodeName)
	s.terminate(a.Machine)
	s.launched++
	fresh := api.NewMachine(s.c.Metadata.Name, a.Index, "", fmt.Sprintf("new%d", s.launched), *s.c.Status.Placement,
		s.now)
	fresh.SucceedMachine(*s.recordOf(a.Machine), s.now)
	spec := s.c.Spec.SpecOfSuccessor(*s.recordOf(a.Machine))
	s.c.SetWanted(&fresh, &spec)
	*s.recordOf(a.Machine) = fresh
	return ""
}

func (s *sim) bringUp(name string) string {
	r := s.recordOf(name)
	m := s.machines[name]
	if m != nil && m.incarnation != r.Incarnation {
		return "its name is taken by an earlier incarnation"
	}
	if m == nil {
		s.machines[name] = &simMachine{index: r.Index, incarnation: r.Incarnation,
			launchedWith: s.c.Spec.MachineSpecOf(*r)}
		s.launched++
		m = s.machines[name]
	}
	m.stopped, m.bare, m.hung, m.active = false, false, false, "active"
	if s.chance(0.2) { // interrupted before its power-off timer was cleared
		r.PowerOffAt = s.now.Add(time.Hour)
	}
	return s.joined(name)
}

func formatClockTime(t time.Time) string { return t.UTC().Format("15:04:05") }
