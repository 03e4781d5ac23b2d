package plan

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// actionOrder is the order in which actions run.
var actionOrder = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionRecordAddress, api.ActionRestoreKeys,
	api.ActionAddMachines, api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace,
	api.ActionBringUp, api.ActionRemove, api.ActionDisarm, api.ActionRefresh, api.ActionWriteKubeconfig, api.ActionGPU,
}

func actionRank(k api.ActionKind) int { return slices.Index(actionOrder, k) }

// postponeForHead makes workers wait for an action on the head, because they need it.
func (p *planner) postponeForHead() {
	if !slices.ContainsFunc(p.actions, func(a api.Action) bool {
		return (isMachineAction(a) || a.Kind == api.ActionRecordAddress) && a.Index == 0
	}) {
		return
	}
	p.postponeActions("it waits for the head", func(a api.Action) bool { return isMachineAction(a) && a.Index != 0 })
}

// isMachineAction says whether an action repairs a machine of the cluster.
func isMachineAction(a api.Action) bool {
	return slices.Contains([]api.ActionKind{
		api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	}, a.Kind)
}

// limitParallelRepairs replaces at most one worker that still exists at a time. If most workers are not Ready, the
// cause is probably not on the workers: then none is replaced, and they are restarted one at a time.
func (p *planner) limitParallelRepairs() {
	workers := wantedMachineCount(p.cluster) - 1
	suspicious := workers > 1 && 2*len(p.unready) > workers
	replaced, restarted := suspicious, !suspicious
	next := "it is replaced after another worker"
	if suspicious {
		next = "most workers are not Ready, so none is replaced: check the head and the network. To have a machine " +
			"replaced, terminate it on the cloud"
	}
	p.postponeActions(next, func(a api.Action) bool {
		if a.Kind != api.ActionReplace || a.Reason == api.DriftMachineGone || a.Reason == api.DriftMachineUnready {
			return false
		}
		drop := replaced
		replaced = true
		return drop
	})
	if restarted {
		return
	}
	p.postponeActions("it is restarted after another worker", func(a api.Action) bool {
		if a.Kind != api.ActionRestart || a.Reason == api.DriftUnitDead {
			return false
		}
		drop := restarted
		restarted = true
		return drop
	})
}

// postponeActions removes actions, and sets the next step of their drift.
func (p *planner) postponeActions(next string, which func(api.Action) bool) {
	p.actions = slices.DeleteFunc(p.actions, func(a api.Action) bool {
		drop := which(a)
		if drop {
			p.setNextStep(a.Machine, a.Reason, next)
		}
		return drop
	})
}
