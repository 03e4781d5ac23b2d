package plan_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// flow is a world like sim in which actions take a random time, and what is requested changes meanwhile: Converge over
// hours, a minute at a time.
type flow struct {
	*sim
	flights []*flight
	head    *simMachine
	started int
	// noCapacity: until then the cloud gives no machines.
	noCapacity time.Time
	// crashes is the probability, per minute, that all actions end at once without a record of it.
	crashes float64
	// registered are the machines whose Nodes were there from the beginning.
	registered []string
}

// flight is an action that runs.
type flight struct {
	action  api.Action
	id      string
	ends    time.Time
	outcome string // its error
	stopped bool
	// planned is the machine spec for which a placement was chosen when the action started.
	planned *api.MachineSpec
}

// newFlow returns a cluster with several pools, whose indexes have gaps and whose head can have any of them.
func newFlow(seed uint64) *flow {
	f := &flow{sim: newSim(seed, 1)}
	f.c.Status.Machines, f.machines, f.nodes = nil, map[string]*simMachine{}, map[string]*simNode{}
	f.c.Spec.Pools, f.c.Metadata.Generation = nil, 1
	f.c.Spec.Cloud, f.c.Spec.Provision = "gcp", true
	f.c.SetDefaults()
	index := 0
	add := func(pool string) {
		index += 1 + f.r.IntN(3)
		m := api.NewMachine("x", index-1, pool, fmt.Sprintf("inc%d", index), *f.c.Status.Placement,
			noon.Add(-time.Hour))
		m.SetState(api.MachineReady, "", noon.Add(-time.Hour))
		f.c.Status.Machines = append(f.c.Status.Machines, m)
		f.machines[m.Name] = &simMachine{index: m.Index, incarnation: m.Incarnation, active: "active"}
		f.nodes[m.NodeName] = &simNode{ready: true, since: noon.Add(-time.Hour), pods: f.r.IntN(5)}
		f.registered = append(f.registered, m.Name)
	}
	before := f.r.IntN(3)
	for i := range 1 + f.r.IntN(3) {
		pool := f.newPool(i)
		f.c.Spec.Pools = append(f.c.Spec.Pools, pool)
		for j := range pool.Replicas {
			if i == 0 && j == before {
				add("")
			}
			add(pool.Name)
		}
	}
	if f.headName() == "" {
		add("")
	}
	f.registerNodes(seed%3 == 0)
	f.c.Status.NextIndex, f.head = index, f.machines[f.headName()]
	f.nodes["user-joined"] = &simNode{since: noon}
	f.machines["copy"] = &simMachine{index: 99, incarnation: "copy"} // with the cluster's labels
	f.before = f.listing()
	return f
}

func (f *flow) newPool(i int) api.Pool {
	return api.Pool{Name: []string{api.DefaultPool, "gpu", "big", "spot"}[i], Replicas: f.r.IntN(5),
		MaxUnavailable: f.r.IntN(3), Machine: f.newMachineSpec(), Labels: f.newLabels()}
}

// step is a minute of Converge.
func (f *flow) step() (plan.Decision, error) {
	if err := f.endFlights(); err != nil {
		return plan.Decision{}, err
	}
	f.inFlight = nil
	for _, flight := range f.flights {
		f.inFlight = append(f.inFlight, flight.action)
	}
	w := f.look()
	d := plan.Decide(f.c, w, policy)
	err := f.check(w, d)
	if err != nil {
		return d, fmt.Errorf("%s: %w\nactions %s\nin flight %v\n%s", formatClockTime(f.now), err, actions(d),
			f.inFlight,
			drift(d))
	}
	f.c.Status.SetDrift(slices.Clone(d.Drift), f.now)
	if d.Converged {
		f.c.Status.ObservedGeneration = f.c.Metadata.Generation
	}
	for _, flight := range f.flights {
		if slices.Contains(d.Stop, flight.action) && !flight.stopped {
			flight.stopped, flight.ends = true, f.now.Add(time.Duration(f.r.IntN(3))*time.Minute)
		}
	}
	taken := map[string]bool{}
	for _, a := range d.Actions {
		if a.Machine != "" && taken[a.Machine] || f.chance(0.1) {
			continue // for the next round
		}
		taken[a.Machine] = true
		f.start(a)
	}
	f.now = f.now.Add(time.Minute)
	f.lags, f.unasked, f.cutOff, f.blocked = max(0, f.lags-1), max(0, f.unasked-1), max(0, f.cutOff-1), max(0,
		f.blocked-1)
	return d, nil
}

// check checks a decision.
func (f *flow) check(w plan.Observation, d plan.Decision) error {
	if err := plan.ValidateCluster(f.c); err != nil {
		return err
	}
	if err := holds(f.c, w, d); err != nil {
		return err
	}
	if err := f.untouched(w, d); err != nil {
		return err
	}
	running := slices.ContainsFunc(w.InFlight, func(a api.Action) bool {
		return a.Kind == api.ActionAddMachines || a.Kind == api.ActionRemove || a.Kind == api.ActionReplace ||
			a.Kind == api.ActionBringUp || a.Kind == api.ActionUpdateNode
	})
	switch met := f.c.IsReachedBy(f.c.Status.Machines); {
	case f.machines[f.headName()] != f.head:
		return fmt.Errorf("the head was replaced")
	case f.machines["copy"] == nil || f.nodes["user-joined"] == nil:
		return fmt.Errorf("what is not the cluster's was removed")
	case d.Converged != (met && !running):
		return fmt.Errorf("converged is %v, the spec is met %v, actions run %v", d.Converged, met, running)
	case d.Doing == "" && (running || len(d.Actions) > 0):
		return fmt.Errorf("says that nothing is under way")
	case d.Fail != nil && f.fails+f.crashes == 0:
		return fmt.Errorf("gives up: %s", d.Fail.Message)
	case !d.NextAt.IsZero() && !d.NextAt.After(f.now):
		return fmt.Errorf("waits for %s", d.NextAt)
	}
	return nil
}

// start makes an action run for a random time.
func (f *flow) start(a api.Action) {
	f.seen[string(a.Kind)]++
	f.seen[string(a.Kind)+" "+string(a.Reason)]++
	f.started++
	flight := &flight{action: a, id: fmt.Sprint(f.started), ends: f.now.Add(time.Duration(f.r.IntN(12)) * time.Minute)}
	if f.chance(f.fails) {
		flight.outcome = "it failed"
	}
	flight.planned = f.planPool(a)
	f.flights = append(f.flights, flight)
	f.c.Status.BeginRepair(api.Repair{ID: flight.id, Action: a, At: f.now})
	switch m := f.recordOf(a.Machine); a.Kind {
	case api.ActionBringUp:
		if m.State == api.MachineReserved {
			m.SetState(api.MachineLaunching, "", f.now)
		}
	case api.ActionRemove:
		if m.Leaving == "" && f.chance(0.7) { // otherwise it is marked later
			m.Leaving = f.leaveReason(m)
		}
	}
}

// endFlights carries out the effects of actions that end now.
func (f *flow) endFlights() error {
	crashed := f.chance(f.crashes)
	running := f.flights
	f.flights = nil
	for _, flight := range running {
		switch {
		case crashed:
			f.leaveHalfDone(flight.action)
			continue
		case flight.ends.After(f.now):
			f.flights = append(f.flights, flight)
			continue
		case flight.stopped:
			flight.outcome = "it was stopped"
		}
		if err := f.land(flight); err != nil {
			return err
		}
		f.c.Status.EndRepair(flight.id, flight.outcome, f.now)
	}
	return nil
}

// land carries out the effect of an action. Its error is an action on a machine that is not the planned one.
func (f *flow) land(flight *flight) error {
	a := flight.action
	if r := f.recordOf(a.Machine); onMachine(a.Kind) && (r == nil || r.Incarnation != a.Incarnation) {
		return fmt.Errorf("%s ends on %s, which changed meanwhile", a.Kind, a.Machine)
	}
	if flight.outcome != "" {
		f.leaveHalfDone(a)
		return nil
	}
	r := f.recordOf(a.Machine)
	needsAPI := a.Kind == api.ActionReplace || a.Kind == api.ActionBringUp ||
		a.Kind == api.ActionRemove && mayRunPods(r)
	noCapacity := a.Kind == api.ActionBringUp && f.machines[a.Machine] == nil && f.now.Before(f.noCapacity)
	switch {
	case noCapacity:
		flight.outcome = "no capacity"
		r.SetState([]api.MachineState{api.MachineReserved, api.MachineLaunching}[f.r.IntN(2)], "", f.now)
	case needsAPI && !f.serves() && a.Machine != f.headName():
		flight.outcome = "the API is silent"
	case a.Kind == api.ActionAddMachines:
		f.addMachines(a.Pool, *flight.planned)
	case a.Kind == api.ActionReplace && flight.planned != nil:
		f.replace(a)
		f.c.SetWanted(f.recordOf(a.Machine), flight.planned)
	case a.Kind == api.ActionRemove:
		f.remove(r)
	default:
		flight.outcome = f.effect(a)
	}
	return nil
}

// leaveHalfDone leaves what an action that did not finish may leave.
func (f *flow) leaveHalfDone(a api.Action) {
	r := f.recordOf(a.Machine)
	if r == nil || f.chance(0.5) {
		return
	}
	switch a.Kind {
	case api.ActionBringUp:
		if f.machines[a.Machine] == nil && !f.now.Before(f.noCapacity) && r.Role == api.RoleWorker {
			f.machines[a.Machine] = &simMachine{index: r.Index, incarnation: r.Incarnation, bare: true,
				launchedWith: f.c.Spec.MachineSpecOf(*r)}
			r.SetState(api.MachineUp, "", f.now)
		}
	case api.ActionReplace:
		f.terminate(a.Machine)
	case api.ActionUpdateNode:
		f.updateNode(a.Machine, false)
	case api.ActionRemove:
		r.Leaving = f.leaveReason(r)
		f.terminate(a.Machine)
	}
}

// addMachines reserves what a pool lacks now, as the activity does.
func (f *flow) addMachines(pool string, planned api.MachineSpec) {
	p := f.c.Spec.FindPool(pool)
	if p == nil || !f.c.Spec.IsSameMachineSpec(planned, p.Machine) {
		return
	}
	lacking := p.Replicas
	for _, m := range f.c.Status.Machines {
		if m.PoolName() == pool && (m.Leaving == "" || m.Leaving == api.LeaveOutdated) {
			lacking--
		}
	}
	for range lacking {
		f.launched++
		f.c.Status.Machines = append(f.c.Status.Machines, api.NewMachine("x", f.c.Status.NextIndex, pool,
			fmt.Sprintf("add%d", f.launched), *f.c.Status.Placement, f.now))
		f.c.SetWanted(&f.c.Status.Machines[len(f.c.Status.Machines)-1], nil)
		f.c.Status.NextIndex++
	}
}

// remove ends a machine and forgets it.
func (f *flow) remove(r *api.Machine) {
	if m := f.machines[r.Name]; m != nil && m.incarnation == r.Incarnation {
		delete(f.machines, r.Name)
	}
	delete(f.nodes, r.NodeName)
	name := r.Name
	f.c.Status.Machines = slices.DeleteFunc(f.c.Status.Machines, func(m api.Machine) bool { return m.Name == name })
}
