package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// chooseLeavingMachines returns the machines that are to be removed for good, and why: those on record as leaving,
// those that are being removed, those of deleted pools, and of each pool with too many machines those whose removal
// does the least harm.
func (p *planner) chooseLeavingMachines() map[*api.Machine]string {
	leaving := map[*api.Machine]string{}
	members := map[string][]*api.Machine{}
	for _, m := range p.records {
		pool := m.PoolName()
		switch {
		case isHead(m): // never removed
		case m.Leaving != "":
			leaving[m] = describeLeaving(m)
		case p.runs(api.ActionRemove, m):
			leaving[m] = cmp.Or(p.runningOn(m).Message, "it is to be removed")
		case p.cluster.Spec.FindPool(pool) == nil:
			leaving[m] = fmt.Sprintf("its pool %s is not in the spec", pool)
		case p.outdated[m] != "" && !wasBroughtUp(m):
			leaving[m] = p.outdated[m] + "; it was never Ready"
		default:
			members[pool] = append(members[pool], m)
		}
	}
	for _, pool := range p.cluster.Spec.Pools {
		count := len(members[pool.Name])
		for _, m := range p.chooseVictims(members[pool.Name], count-pool.Replicas) {
			leaving[m] = fmt.Sprintf("pool %s has %s and should have %d; %s", pool.Name, api.FormatMachines(count),
				pool.Replicas, p.describeVictim(m))
		}
	}
	return leaving
}

func describeLeaving(m *api.Machine) string {
	switch m.Leaving {
	case api.LeaveScaledDown:
		return "its pool " + m.PoolName() + " has fewer replicas now"
	case api.LeavePoolDeleted:
		return "its pool " + m.PoolName() + " was deleted"
	case api.LeaveDeleted:
		return "a person deleted it"
	case api.LeaveOutdated:
		return "it was never Ready, and its pool " + m.PoolName() + " has another machine spec now"
	}
	return "it is to be removed: " + string(m.Leaving)
}

// The classes of machines of a pool, in the order in which they are removed.
const (
	classUnfinished = iota // never brought up, or terminated
	classNotReady          // its Node is not Ready
	classCordoned
	classInUse
)

func (p *planner) classify(m *api.Machine) int {
	node := p.observed.Nodes[m.NodeName]
	switch {
	case m.State != api.MachineReady:
		return classUnfinished
	case !p.isAPISilent() && p.observed.Nodes != nil && !node.Ready:
		return classNotReady
	case !p.isAPISilent() && node.Cordoned:
		return classCordoned
	}
	return classInUse
}

// endsAnyway says whether a machine would be replaced if it stayed, so that its removal saves a replacement.
func (p *planner) endsAnyway(m *api.Machine) bool { return m.ReplaceAsked || p.outdated[m] != "" }

// describeVictim says why this machine of a pool is removed and not another one.
func (p *planner) describeVictim(m *api.Machine) string {
	if p.classify(m) == classInUse && p.endsAnyway(m) {
		return "this one would be replaced otherwise"
	}
	return []string{"this one is not in use yet", "the Node of this one is not Ready", "this one is cordoned",
		"this one has the fewest pods or is the newest"}[p.classify(m)]
}

// chooseVictims returns the machines of a pool whose removal does the least harm. It leaves out those that must not be
// changed now.
func (p *planner) chooseVictims(members []*api.Machine, count int) []*api.Machine {
	if count <= 0 {
		return nil
	}
	members = slices.DeleteFunc(slices.Clone(members), func(m *api.Machine) bool {
		l := p.listedMachine(m)
		return p.disputed[m] != "" || l != nil && l.Unknown
	})
	endsFirst := func(m *api.Machine) int {
		if p.endsAnyway(m) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(members, func(a, b *api.Machine) int {
		return cmp.Or(cmp.Compare(p.classify(a), p.classify(b)), endsFirst(a)-endsFirst(b),
			cmp.Compare(p.observed.Nodes[a.NodeName].Pods, p.observed.Nodes[b.NodeName].Pods),
			cmp.Compare(b.Index, a.Index))
	})
	return members[:min(count, len(members))]
}

// mayRunPods says whether pods may run on a machine, so that it has to be drained before it is removed.
func mayRunPods(m *api.Machine) bool {
	return (m.State == api.MachineReady || !m.ReadyAt.IsZero()) && !isEnding(m)
}

// planRemoval plans for a machine that is to be removed for good.
func (p *planner) planRemoval(m *api.Machine, why string) {
	a := newMachineAction(m, api.ActionRemove, api.DriftMachineSurplus, why)
	l, running := p.listedMachine(m), p.runningOn(m)
	switch {
	case running != nil && (running.Kind == api.ActionBringUp || running.Kind == api.ActionReplace):
		p.stopRunning(running)
		p.reportDriftOf(a, "it is removed once its "+string(running.Kind)+" has stopped")
	case running != nil && running.Kind != api.ActionRemove:
		p.reportDriftOf(a, "it is removed once its "+string(running.Kind)+" has ended")
	case running != nil:
		p.reportDriftOf(a, describeRunning(running))
	case p.disputed[m] != "":
		p.reportDrift(m.Name, api.DriftMachineConflict, p.disputed[m],
			"it is removed once this is fixed on the cloud")
	case l != nil && l.Unknown:
		p.reportDriftOf(a, untilQueried)
	case p.isAPISilent() && mayRunPods(m):
		p.reportDriftOf(a, "it is removed "+onceAPIAnswers)
	default:
		p.requestAction(a, "it is removed")
	}
}

// planMissingMachines plans for pools with fewer machines than replicas.
func (p *planner) planMissingMachines() {
	for _, pool := range p.cluster.Spec.Pools {
		if lacking := p.countMissing(pool); lacking > 0 {
			p.requestAction(api.Action{
				Kind: api.ActionAddMachines, Index: -1, Pool: pool.Name, Reason: api.DriftMachineMissing,
				Message: fmt.Sprintf("pool %s has %d of %s", pool.Name, pool.Replicas-lacking,
					api.FormatMachines(pool.Replicas)),
			}, "machines are added")
		}
	}
}

// countMissing returns how many machines a pool lacks now. Machines on their way count as there, and so do those that
// make room for one with another machine spec, until they are gone: the cloud may have no room for both.
func (p *planner) countMissing(pool api.Pool) int {
	return max(p.countLacking(pool)-p.countMakingRoom(pool), 0)
}

// countLacking returns how many machines a pool lacks once those that leave are gone.
func (p *planner) countLacking(pool api.Pool) int {
	lacking := pool.Replicas
	for _, m := range p.records {
		if !isHead(m) && m.PoolName() == pool.Name && p.leaving[m] == "" {
			lacking--
		}
	}
	return max(lacking, 0)
}

// countMakingRoom returns how many machines of a pool leave because they are outdated.
func (p *planner) countMakingRoom(pool api.Pool) int {
	count := 0
	for _, m := range p.records {
		if !isHead(m) && m.PoolName() == pool.Name && p.leaving[m] != "" &&
			(m.Leaving == api.LeaveOutdated || m.Leaving == "" && p.outdated[m] != "" && !wasBroughtUp(m)) {
			count++
		}
	}
	return count
}
