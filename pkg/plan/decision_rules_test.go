package plan_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// holds checks what must be true of every decision for any observation.
func holds(c *api.Cluster, w plan.Observation, d plan.Decision) error {
	owned := map[string]bool{}
	kept := map[string]bool{}
	nodes := map[string]bool{}
	for _, m := range c.Status.Machines {
		owned[m.Name] = true
		nodes[m.NodeName] = true
		kept[m.Name] = c.Status.CanBeRepaired() && m.State.MayExist() && m.State != api.MachineTerminating
		kept[m.Incarnation] = c.Status.Phase == api.PhaseReady
	}
	for _, l := range w.Listed {
		owned[l.Name] = true
	}
	if len(w.KeysMissing) > 0 && c.Status.Phase == api.PhaseReady && d.Fail != nil {
		return fmt.Errorf("fails although keys are missing: %s", d.Fail.Message)
	}
	if len(d.Actions)+len(d.Stop) > 0 && (d.Fail != nil || !c.Status.PausedAt.IsZero()) {
		return fmt.Errorf("requests %s, although failed (%v) or paused", actions(d), d.Fail)
	}
	if err := holdsPools(c, w, d); err != nil {
		return err
	}
	if err := holdsRestore(c, w, d); err != nil {
		return err
	}
	places, before := map[int]bool{}, -1
	for _, a := range d.Actions {
		if err := allowed(c, w, a, owned, kept, nodes); err != nil {
			return err
		}
		at := slices.Index(carriedOut, a.Kind)
		if at < before {
			return fmt.Errorf("out of order: %s", actions(d))
		}
		before = at
		if onMachine(a.Kind) {
			if places[a.Index] {
				return fmt.Errorf("two actions on index %d: %s", a.Index, actions(d))
			}
			places[a.Index] = true
		}
		if !slices.ContainsFunc(d.Drift, func(x api.Drift) bool {
			return x.Machine == a.Machine && x.Reason == a.Reason && (a.Machine != "" || x.Pool == a.Pool)
		}) {
			return fmt.Errorf("%s without a drift", a.Kind)
		}
	}
	if d.Fail != nil && d.Fail.Reason == string(api.DriftAPIUnreachable) {
		return fmt.Errorf("fails a cluster that is unreachable: %+v", d.Fail)
	}
	for _, x := range d.Drift {
		if x.Message == "" || x.Next == "" {
			return fmt.Errorf("%s of %q has no message: %+v", x.Reason, x.Machine, x)
		}
	}
	return nil
}

var carriedOut = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionRecordAddress, api.ActionRestoreKeys, api.ActionAddMachines,
	api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionUpdateNode, api.ActionReplace,
	api.ActionBringUp, api.ActionRemove, api.ActionDisarm, api.ActionRefresh, api.ActionWriteKubeconfig, api.ActionGPU,
}

func onMachine(k api.ActionKind) bool {
	return slices.Contains([]api.ActionKind{
		api.ActionRecordAddress, api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace,
		api.ActionBringUp, api.ActionRemove,
	}, k)
}

// allowed checks a single action.
func allowed(c *api.Cluster, w plan.Observation, a api.Action, owned, kept, nodes map[string]bool) error {
	launches := a.Kind == api.ActionReplace || a.Kind == api.ActionBringUp
	ends := a.Kind == api.ActionReplace || a.Kind == api.ActionTerminate || a.Kind == api.ActionRemove
	head := isServer(c, a.Index, a.Machine)
	m := recordAt(c, a.Index)
	_, node := w.Nodes[a.Node]
	switch {
	case w.APIError != "" && a.Kind == api.ActionRestart && !unwell(w.Units[a.Index]):
		return fmt.Errorf("restarts %s, which does not report itself unhealthy: %+v", a.Machine, w.Units[a.Index])
	case c.Status.Phase == api.PhaseError && a.Kind != api.ActionTerminate:
		return fmt.Errorf("%s in a cluster in ERROR", a.Kind)
	case w.CloudError != "" && a.Kind != api.ActionWriteKubeconfig:
		return fmt.Errorf("%s of %s although the cloud cannot be queried", a.Kind, a.Machine)
	case w.APIError != "" && !head && a.Kind != api.ActionTerminate && a.Kind != api.ActionStartMachine &&
		a.Kind != api.ActionRecordAddress && a.Kind != api.ActionAddMachines &&
		a.Kind != api.ActionWriteKubeconfig && a.Kind != api.ActionRestoreKeys &&
		(a.Kind != api.ActionRemove || mayRunPods(m)):
		return fmt.Errorf("%s of %s although the API is silent", a.Kind, a.Machine)
	case len(w.KeysMissing) > 0 && (onMachine(a.Kind) && a.Kind != api.ActionRecordAddress ||
		a.Kind == api.ActionDisarm || a.Kind == api.ActionRefresh || a.Kind == api.ActionUpdateNode ||
		a.Kind == api.ActionAddMachines):
		return fmt.Errorf("%s of %s without the keys for it", a.Kind, a.Machine)
	case a.Kind == api.ActionForgetNode && (!node || nodes[a.Node] ||
		!strings.HasPrefix(a.Node, "sky-"+c.Metadata.Name+"-") || w.Nodes[a.Node].Ready):
		return fmt.Errorf("forgets the Node %q", a.Node)
	case a.Kind != api.ActionForgetNode && a.Machine != "" && !owned[a.Machine]:
		return fmt.Errorf("%s of %s, which is not a machine of the cluster", a.Kind, a.Machine)
	case a.Kind == api.ActionTerminate && (kept[a.Machine] || kept[a.Incarnation] || a.Machine == ""):
		return fmt.Errorf("terminates %s, which has a record", a.Machine)
	case a.Kind == api.ActionUpdateNode && (w.APIError != "" || m == nil || !w.Nodes[m.NodeName].Ready):
		return fmt.Errorf("updates the Node of %s, which is not Ready", a.Machine)
	case a.Reason == api.DriftMachineOutdated && c.Spec.DescribeOutdated(*m) == "":
		return fmt.Errorf("%s of %s, which has the spec of its pool", a.Kind, a.Machine)
	case ends && c.Status.Phase == api.PhaseReady && head:
		return fmt.Errorf("%s of the head", a.Kind)
	case launches && (m == nil || !head && (m.Leaving != "" || c.Spec.FindPool(m.PoolName()) == nil)):
		return fmt.Errorf("%s of %s, which is not wanted", a.Kind, a.Machine)
	}
	return nil
}

// isServer reports whether a machine is the recorded head of a cluster.
func isServer(c *api.Cluster, index int, name string) bool {
	return slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool {
		return m.Role == api.RoleHead && (m.Index == index || name != "" && m.Name == name)
	})
}

// recordAt returns the record of an index; nil if there is none.
func recordAt(c *api.Cluster, index int) *api.Machine {
	for i := range c.Status.Machines {
		if c.Status.Machines[i].Index == index {
			return &c.Status.Machines[i]
		}
	}
	return nil
}

func mayRunPods(m *api.Machine) bool {
	return m == nil || (m.State == api.MachineReady || !m.ReadyAt.IsZero()) && m.State != api.MachineTerminating &&
		m.State != api.MachineGone
}

// poolState is what a pool has.
type poolState struct {
	members           int // machines that stay
	removed           int // members that are removed now
	replacing, idle   int // members that are being replaced, and that do not work
	existing, working int // members that still exist and are replaced now, and those of them that work
	added             int
}

// holdsPools checks what must be true of the machines of pools, and of actions in flight.
func holdsPools(c *api.Cluster, w plan.Observation, d plan.Decision) error {
	if err := holdsInFlight(c, w, d); err != nil {
		return err
	}
	if c.Status.Phase != api.PhaseReady || len(d.Actions) == 0 || plan.ValidateCluster(c) != nil {
		return nil
	}
	pools := statePools(c, w, d)
	listed := map[string]bool{}
	for _, l := range w.Listed {
		listed[l.Name+l.Incarnation] = true
	}
	for _, a := range d.Actions {
		m := recordAt(c, a.Index)
		switch {
		case a.Kind == api.ActionAddMachines && pools[a.Pool] == nil:
			return fmt.Errorf("adds machines to pool %q, which is not in the spec", a.Pool)
		case a.Kind == api.ActionAddMachines:
			pools[a.Pool].added++
		case a.Kind == api.ActionRemove && (m == nil || m.Role == api.RoleHead):
			return fmt.Errorf("removes %q", a.Machine)
		case a.Kind == api.ActionRemove && !m.WasBroughtUp() && c.Spec.DescribeOutdated(*m) != "":
		case a.Kind == api.ActionRemove && m.Leaving == "" && pools[m.PoolName()] != nil:
			pools[m.PoolName()].removed++
		case a.Kind == api.ActionReplace && listed[a.Machine+a.Incarnation] && a.Reason != api.DriftMachineUnready &&
			a.Reason != api.DriftMachineMissing && (!m.Replacement || m.State == api.MachineReady):
			pools[m.PoolName()].existing++
			if w.Nodes[m.NodeName].Ready {
				pools[m.PoolName()].working++
			}
		}
	}
	for _, pool := range c.Spec.Pools {
		if err := holdsPool(pool, *pools[pool.Name]); err != nil {
			return fmt.Errorf("pool %s: %w", pool.Name, err)
		}
	}
	return nil
}

func holdsPool(pool api.Pool, s poolState) error {
	room := max(pool.MaxUnavailable, api.DefaultMaxUnavailable)
	switch {
	case s.added > 1 || s.added > 0 && s.members >= pool.Replicas:
		return fmt.Errorf("machines are added %d times to %d of %d", s.added, s.members, pool.Replicas)
	case s.removed > max(s.members-pool.Replicas, 0):
		return fmt.Errorf("%d of %d machines are removed, though it should have %d", s.removed, s.members,
			pool.Replicas)
	case s.existing > 0 && s.replacing+s.existing > room:
		return fmt.Errorf("%d existing machines are replaced while %d are being replaced; max_unavailable is %d",
			s.existing, s.replacing, room)
	case s.working > 0 && s.replacing+s.idle+s.working > room:
		return fmt.Errorf("%d working machines are replaced while %d are being replaced and %d do not work; "+
			"max_unavailable is %d", s.working, s.replacing, s.idle, room)
	}
	return nil
}

// statePools returns the state of the pools of the spec before the actions of a decision. Machines that the decision
// removes count as members only.
func statePools(c *api.Cluster, w plan.Observation, d plan.Decision) map[string]*poolState {
	leaves := func(m *api.Machine) bool {
		return slices.ContainsFunc(d.Drift, func(x api.Drift) bool {
			return x.Machine == m.Name && x.Reason == api.DriftMachineSurplus
		})
	}
	pools := map[string]*poolState{}
	for _, pool := range c.Spec.Pools {
		pools[pool.Name] = &poolState{}
	}
	seen := map[int]bool{}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		pool := pools[m.PoolName()]
		if pool == nil || m.Role == api.RoleHead || m.Leaving != "" || flies(w, api.ActionRemove, m.Index) ||
			m.Index < 0 || seen[m.Index] {
			continue
		}
		seen[m.Index] = true
		pool.members++
		wasReady := m.State == api.MachineReady || m.Replacement || !m.ReadyAt.IsZero()
		switch {
		case leaves(m):
		case flies(w, api.ActionReplace, m.Index) || m.Replacement && m.State != api.MachineReady:
			pool.replacing++
		case wasReady && !w.Nodes[m.NodeName].Ready:
			pool.idle++
		}
	}
	return pools
}

func flies(w plan.Observation, kind api.ActionKind, index int) bool {
	return slices.ContainsFunc(w.InFlight, func(a api.Action) bool { return a.Kind == kind && a.Index == index })
}

// holdsInFlight checks that no action has the target of one in flight, and that only bring-ups and replacements of
// machines that are not wanted are stopped.
func holdsInFlight(c *api.Cluster, w plan.Observation, d plan.Decision) error {
	for _, a := range d.Actions {
		for _, running := range w.InFlight {
			if aimsAtSame(a, running) {
				return fmt.Errorf("%s of %s%s while a %s runs on it", a.Kind, a.Machine, a.Pool, running.Kind)
			}
		}
	}
	for _, a := range d.Stop {
		m := recordAt(c, a.Index)
		switch {
		case !slices.Contains(w.InFlight, a):
			return fmt.Errorf("stops a %s of %s, which does not run", a.Kind, a.Machine)
		case a.Kind != api.ActionBringUp && a.Kind != api.ActionReplace || m == nil || m.Role == api.RoleHead:
			return fmt.Errorf("stops a %s of %s", a.Kind, a.Machine)
		}
	}
	return nil
}

// aimsAtSame reports whether two actions must not run at the same time.
func aimsAtSame(a, b api.Action) bool {
	onRecord := func(a api.Action) bool {
		return onMachine(a.Kind) || a.Kind == api.ActionDisarm || a.Kind == api.ActionUpdateNode ||
			a.Kind == api.ActionRefresh
	}
	switch {
	case onRecord(a) && onRecord(b):
		return a.Index == b.Index
	case a.Kind != b.Kind:
		return false
	}
	return a.Machine == b.Machine && a.Pool == b.Pool && a.Node == b.Node
}

// unwell reports whether a machine answered and reports RKE2 as unhealthy.
func unwell(u plan.RKE2Unit) bool {
	return u.Reached && (u.Active == "failed" || u.Active == "inactive" || u.Health == plan.Unhealthy)
}
