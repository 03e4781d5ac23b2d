package plan

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// limitRepairsOfUnreadyWorkers holds back repairs if most workers are not Ready: the cause is then probably not on the
// workers, so none is replaced, and they are restarted one at a time.
func (p *planner) limitRepairsOfUnreadyWorkers() {
	workers := 0
	for _, m := range p.records {
		if !isHead(m) && p.leaving[m] == "" && wasBroughtUp(m) {
			workers++
		}
	}
	if workers < 2 || 2*len(p.unready) <= workers {
		return
	}
	p.postponeActions("most workers are not Ready, so none is replaced: check the head and the network. To have a "+
		"machine replaced anyway, run skyctl replace machine NAME", p.replacesExisting)
	p.postponeActions("it is replaced once most workers are Ready", func(a api.Action) bool {
		return a.Kind == api.ActionReplace && a.Reason == api.DriftMachineOutdated &&
			p.isNodeReady(p.machines[a.Index])
	})
	restarts := slices.ContainsFunc(p.observed.InFlight, isCautiousRestart)
	p.postponeActions("it is restarted after another worker", func(a api.Action) bool {
		if !isCautiousRestart(a) {
			return false
		}
		drop := restarts
		restarts = true
		return drop
	})
}

// isCautiousRestart says whether an action restarts RKE2 on a machine where it runs.
func isCautiousRestart(a api.Action) bool {
	return a.Kind == api.ActionRestart && a.Reason != api.DriftUnitDead
}

// replacesExisting says whether an action replaces a machine that still exists, because it does not work.
func (p *planner) replacesExisting(a api.Action) bool {
	return a.Kind == api.ActionReplace && a.Reason != api.DriftMachineGone && a.Reason != api.DriftMachineUnready &&
		a.Reason != api.DriftMachineMissing && !isWantedReplacement(a)
}

// isWantedReplacement says whether an action replaces a machine that may work, because another one is wanted.
func isWantedReplacement(a api.Action) bool {
	return a.Kind == api.ActionReplace &&
		(a.Reason == api.DriftReplaceAsked || a.Reason == api.DriftMachineOutdated)
}

// limitReplacements keeps the number of machines of a pool that are replaced at the same time within its
// max_unavailable. A replacement counts until the new machine is Ready. A machine that works is only replaced if those
// that do not work leave room.
func (p *planner) limitReplacements() {
	room, idle := map[string]int{}, map[string]int{}
	for _, pool := range p.cluster.Spec.Pools {
		if room[pool.Name] = pool.MaxUnavailable; pool.MaxUnavailable <= 0 {
			room[pool.Name] = api.DefaultMaxUnavailable
		}
	}
	for _, m := range p.records {
		switch {
		case isHead(m) || p.leaving[m] != "":
		case p.isBeingReplaced(m):
			room[m.PoolName()]--
		case wasBroughtUp(m) && !p.isNodeReady(m):
			idle[m.PoolName()]++
		}
	}
	p.postponeActions("it is replaced after another worker", func(a api.Action) bool {
		return p.replacesExisting(a) && !takeRoom(room, idle, p.machines[a.Index], false)
	})
	p.postponeActions("it is replaced once enough other machines of its pool are Ready (see max_unavailable)",
		func(a api.Action) bool {
			if !isWantedReplacement(a) {
				return false
			}
			m := p.machines[a.Index]
			if p.isBeingReplaced(m) || p.listedMachine(m) == nil && !p.isNodeReady(m) { // it counts already, or is gone
				return false
			}
			return !takeRoom(room, idle, m, p.isNodeReady(m))
		})
}

// isBeingReplaced says whether a machine is being replaced, or replaces an earlier one and is not Ready yet.
func (p *planner) isBeingReplaced(m *api.Machine) bool {
	return p.runs(api.ActionReplace, m) || m.Replacement && m.State != api.MachineReady
}

// takeRoom takes the place of a machine in the room of its pool for replacements, and says whether there was one. A
// machine that does not work was idle and no longer is.
func takeRoom(room, idle map[string]int, m *api.Machine, works bool) bool {
	pool := m.PoolName()
	left := room[pool]
	if works {
		left -= idle[pool]
	}
	if left <= 0 {
		return false
	}
	room[pool]--
	if !works {
		idle[pool] = max(idle[pool]-1, 0)
	}
	return true
}
