package plan

import (
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
)

// actionOrder is the order in which actions run.
var actionOrder = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionRecordAddress, api.ActionRestoreKeys,
	api.ActionAddMachines, api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionUpdateNode,
	api.ActionReplace, api.ActionBringUp, api.ActionRemove, api.ActionDisarm, api.ActionRefresh,
	api.ActionWriteKubeconfig, api.ActionGPU,
}

func actionRank(k api.ActionKind) int { return slices.Index(actionOrder, k) }

// postponeForHead makes workers wait for an action on the head, because they need it.
func (p *planner) postponeForHead() {
	repairsHead := func(a api.Action) bool {
		return (isMachineAction(a) || a.Kind == api.ActionRecordAddress) && p.head != nil && a.Index == p.head.Index
	}
	if !slices.ContainsFunc(p.actions, repairsHead) && !slices.ContainsFunc(p.observed.InFlight, repairsHead) {
		return
	}
	p.postponeActions("it waits for the head", func(a api.Action) bool { return isMachineAction(a) && !repairsHead(a) })
}

// isMachineAction says whether an action repairs a machine of the cluster.
func isMachineAction(a api.Action) bool {
	return slices.Contains([]api.ActionKind{
		api.ActionStartMachine, api.ActionReconfigure, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
		api.ActionRemove,
	}, a.Kind)
}

// postponeActions removes actions, and sets the next step of their drift.
func (p *planner) postponeActions(next string, which func(api.Action) bool) {
	p.actions = slices.DeleteFunc(p.actions, func(a api.Action) bool {
		drop := which(a)
		if drop {
			p.setNextStep(a, next)
		}
		return drop
	})
}
