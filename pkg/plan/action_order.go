package plan

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// actionOrder is the one in which actions are carried out.
var actionOrder = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionRecordAddress, api.ActionRestoreKeys, api.ActionStartMachine,
	api.ActionReconfigure,
	api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	api.ActionDisarm, api.ActionRefresh, api.ActionWriteKubeconfig, api.ActionGPU,
}

func actionRank(k api.ActionKind) int { return slices.Index(actionOrder, k) }

// postponeForHead has workers wait while something is done to the head, which they need for everything.
func (p *planner) postponeForHead() {
	if !slices.ContainsFunc(p.actions, func(a api.Action) bool {
		return (isMachineAction(a) || a.Kind == api.ActionRecordAddress) && a.Index == 0
	}) {
		return
	}
	p.postponeActions("it waits for the head", func(a api.Action) bool { return isMachineAction(a) && a.Index != 0 })
}

// isMachineAction says that an action is one on a machine in its place.
func isMachineAction(a api.Action) bool {
	return slices.Contains([]api.ActionKind{
		api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	}, a.Kind)
}

// limitParallelRepairs leaves but one of the workers that still exist to be replaced. Where most workers are not Ready
// it is hardly they that are broken: then none is replaced, and they are restarted one at a time.
func (p *planner) limitParallelRepairs() {
	workers := wantedMachineCount(p.cluster) - 1
	suspicious := workers > 1 && 2*len(p.unready) > workers
	replaced, restarted := suspicious, !suspicious
	next := "it is replaced once another one has been"
	if suspicious {
		next = "most workers are not Ready, so none is replaced: look at the head and at the network. A machine " +
			"that is terminated on the cloud is replaced"
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
	p.postponeActions("it is restarted after another one", func(a api.Action) bool {
		if a.Kind != api.ActionRestart || a.Reason == api.DriftUnitDead {
			return false
		}
		drop := restarted
		restarted = true
		return drop
	})
}

// postponeActions takes back actions, and says next of the drift that they were about.
func (p *planner) postponeActions(next string, which func(api.Action) bool) {
	p.actions = slices.DeleteFunc(p.actions, func(a api.Action) bool {
		drop := which(a)
		if drop {
			p.setNextStep(a.Machine, a.Reason, next)
		}
		return drop
	})
}
