package plan

import (
	"cmp"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/api"
)

// targetOf returns what an action changes. Two actions with the same target never run at the same time.
func targetOf(a api.Action) string {
	switch a.Kind {
	case api.ActionAddMachines:
		return "pool " + a.Pool
	case api.ActionTerminate:
		return "extra machine " + a.Machine
	case api.ActionForgetNode:
		return "Node " + a.Node
	case api.ActionRestoreKeys, api.ActionWriteKubeconfig, api.ActionGPU:
		return string(a.Kind)
	}
	return indexTarget(a.Index)
}

func indexTarget(index int) string { return "machine " + strconv.Itoa(index) }

// runningOn returns the action that runs on a recorded machine; nil if none does.
func (p *planner) runningOn(m *api.Machine) *api.Action { return p.inFlight[indexTarget(m.Index)] }

// runs says whether an action of a kind runs on a recorded machine.
func (p *planner) runs(kind api.ActionKind, m *api.Machine) bool {
	running := p.runningOn(m)
	return running != nil && running.Kind == kind
}

// runningFor returns the action that runs on a machine with a name, or with a Node, whether it has a record or not;
// nil if none does.
func (p *planner) runningFor(machine, node string) *api.Action {
	for i := range p.observed.InFlight {
		a := &p.observed.InFlight[i]
		if a.Machine != "" && a.Machine == machine || node != "" && a.Incarnation != "" &&
			api.NodeName(p.cluster.Metadata.Name, a.Index, a.Incarnation) == node {
			return a
		}
	}
	return nil
}

// describeRunning says, for people, what a running action does.
func describeRunning(a *api.Action) string {
	return cmp.Or(map[api.ActionKind]string{
		api.ActionTerminate: "it is being terminated", api.ActionForgetNode: "it is being deleted",
		api.ActionRecordAddress: "its address is being recorded", api.ActionRestoreKeys: "they are being restored",
		api.ActionAddMachines: "machines are being added", api.ActionStartMachine: "it is being started",
		api.ActionReconfigure: "RKE2 is being reconfigured", api.ActionRestart: "RKE2 is being restarted",
		api.ActionReplace: "it is being replaced", api.ActionBringUp: "it is being brought up",
		api.ActionUpdateNode: "its Node is being updated",
		api.ActionRemove:     "it is being removed", api.ActionDisarm: "its power-off timer is being removed",
		api.ActionRefresh:         "the credentials are being renewed",
		api.ActionWriteKubeconfig: "it is being written", api.ActionGPU: "the GPU stack is being applied",
	}[a.Kind], string(a.Kind)+" is under way")
}

// waitForRunning takes back what was planned for a machine since a state of the plan, because an action on the machine
// runs. Its drift stays, so that its times count on.
func (p *planner) waitForRunning(running *api.Action, before planState) {
	p.actions, p.fatal = p.actions[:before.actions], p.fatal[:before.fatal]
	p.fail, p.restore, p.nextAt = before.fail, before.restore, before.nextAt
	for i := before.drift; i < len(p.drift); i++ {
		if d := &p.drift[i]; !d.Reason.IsOnlyReported() && d.Reason != api.DriftMachineConflict {
			d.Next = describeRunning(running)
		}
	}
}

// stopRunning stops an action on a machine that is to be removed or replaced, which follows once it has ended.
func (p *planner) stopRunning(running *api.Action) { p.stop = append(p.stop, *running) }
