package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planState is how far a plan has come.
type planState struct {
	drift, actions, fatal int
	fail                  *api.Failure
	restore               *api.RestoreRequest
	nextAt                time.Time
}

// planMachine plans for one recorded machine that is to stay.
func (p *planner) planMachine(m *api.Machine) {
	before := planState{len(p.drift), len(p.actions), len(p.fatal), p.fail, p.restore, p.nextAt}
	p.planMachineState(m)
	if running := p.runningOn(m); running != nil {
		p.waitForRunning(running, before)
		p.stopUnwantedReplacement(m, running)
	}
	for _, drift := range p.drift[before.drift:] {
		p.unsettled = p.unsettled || !drift.Reason.IsOnlyReported() && !p.isUpdate(m, drift.Reason) &&
			(isHead(m) || wasBroughtUp(m) && p.cluster.Spec.AcceleratorsOf(*m).Count > 0)
	}
}

func (p *planner) planMachineState(m *api.Machine) {
	l := p.listedMachine(m)
	if l != nil && l.Name != m.Name && p.disputed[m] == "" {
		p.reportDrift(m.Name, api.DriftMachineConflict, fmt.Sprintf("the cloud lists it (id %s) as %q", l.ID, l.Name),
			"it is kept; rename it to "+m.Name)
	}
	switch {
	case p.disputed[m] != "":
		p.reportDrift(m.Name, api.DriftMachineConflict, p.disputed[m],
			"skyctl does not change it until it is fixed on the cloud")
	case m.ReplaceAsked && !isHead(m):
		p.planWantedReplacement(m, api.DriftReplaceAsked, askedReplacement)
	case m.State != api.MachineReady && p.outdated[m] != "":
		p.planWantedReplacement(m, api.DriftMachineOutdated, p.outdated[m])
	case m.State != api.MachineReady:
		p.planUnfinishedMachine(m, l)
	case l == nil:
		p.planUnlistedMachine(m)
	case l.Stopped:
		p.planStoppedMachine(m)
	case p.planAddressChange(m, l):
	case p.isAPISilent():
		if isHead(m) {
			p.planSilentHead(m)
		}
	default:
		p.planRunningMachine(m)
	}
}

// askedReplacement is why a machine is replaced that a person named.
const askedReplacement = "a person asked for another machine"

// planWantedReplacement plans for a worker that a person wants replaced, or that has another machine spec than its
// pool. Its failures never send the cluster to ERROR.
func (p *planner) planWantedReplacement(m *api.Machine, reason api.DriftReason, why string) {
	replace := newMachineAction(m, api.ActionReplace, reason, why)
	l := p.listedMachine(m)
	switch {
	case p.runs(api.ActionBringUp, m): // of the machine that is not wanted any more
		p.stopRunning(p.runningOn(m))
		p.reportDriftOf(replace, "it is replaced once its BringUp has stopped")
	case l != nil && l.Unknown:
		p.reportDriftOf(replace, untilQueried)
	case p.isAPISilent():
		p.reportDriftOf(replace, "it is replaced "+onceAPIAnswers)
	case l == nil && !p.checkNameFree(m, replace):
	default:
		p.requestAction(replace, "it is replaced")
	}
}

const onceAPIAnswers = "once the Kubernetes API answers"

// planUnfinishedMachine plans for a machine that never became Ready, because a repair failed or was cut off.
func (p *planner) planUnfinishedMachine(m *api.Machine, l *ListedMachine) {
	message := fmt.Sprintf("it is %s, %s", m.State, p.describeRepairInProgress(m))
	if m.State == api.MachineReserved && p.runningOn(m) == nil {
		message = "it is recorded, and not launched yet"
	}
	bringUp := newMachineAction(m, api.ActionBringUp, unfinishedReason(m), message)
	isLaunching := m.State == api.MachineReserved || m.State == api.MachineLaunching
	switch {
	case isHead(m) && l == nil:
		p.planUnlistedHead(m, message)
	case isHead(m) && l.Stopped:
		p.planStoppedMachine(m)
	case isHead(m) && !p.isAPIUnreachable():
		p.requestActionWithLimit(bringUp, "it is brought up", p.policy.Replacements)
	case p.isAPISilent():
		p.reportDrift(m.Name, bringUp.Reason, message, "it continues "+onceAPIAnswers)
	case l != nil && l.Unknown:
		p.reportDrift(m.Name, bringUp.Reason, message, untilQueried)
	case !isEnding(m) && p.isNodeReady(m) && l == nil:
		p.reportDrift(m.Name, bringUp.Reason, message+"; its Node is Ready, though the cloud does not list it",
			listOutdated)
	case isEnding(m) || l == nil && !isLaunching || l != nil && l.Stopped:
		p.requestReplacement(m, bringUp.Reason, message)
	case l == nil && !p.checkNameFree(m, bringUp):
	default:
		p.requestActionWithLimit(bringUp, "it is brought up", p.policy.Replacements)
	}
}

// unfinishedReason is the drift of a machine that is not Ready: a machine that never was does not count as trouble.
func unfinishedReason(m *api.Machine) api.DriftReason {
	if isHead(m) || wasBroughtUp(m) {
		return api.DriftMachineUnready
	}
	return api.DriftMachineMissing
}

// describeRepairInProgress says whether a repair of a machine index has not finished. It may be running, or its worker
// process was lost.
func (p *planner) describeRepairInProgress(m *api.Machine) string {
	if running := p.runningOn(m); running != nil {
		return "and its " + string(running.Kind) + " is under way"
	}
	for _, r := range slices.Backward(p.cluster.Status.Repairs) {
		bringsUp := r.Action.Kind == api.ActionReplace || r.Action.Kind == api.ActionBringUp
		switch {
		case !bringsUp || r.Action.Index != m.Index:
		case r.Ended.IsZero():
			return fmt.Sprintf("and its %s, started at %s, has not finished", r.Action.Kind, formatClockTime(r.At))
		default:
			return "and no repair is running"
		}
	}
	return "and no repair is running"
}

// planUnlistedMachine plans for a machine that the cloud does not list. The list may be out of date, so it does not
// count against a Ready Node or an SSH answer, nor while the Kubernetes API is silent.
func (p *planner) planUnlistedMachine(m *api.Machine) {
	const message = "the cloud no longer lists it"
	switch {
	case p.isNodeReady(m):
		p.reportDrift(m.Name, api.DriftMachineGone, message+", though its Node is Ready",
			listOutdated)
	case isHead(m):
		p.planUnlistedHead(m, message)
	case p.isAPISilent():
		p.reportDrift(m.Name, api.DriftMachineGone, message, "it is replaced "+onceAPIAnswers)
	case p.observed.Units[m.Index].Reached:
		p.reportDrift(m.Name, api.DriftMachineGone, message+", though it answers over SSH",
			listOutdated)
	default:
		p.requestReplacement(m, api.DriftMachineGone, message)
	}
}

// planStoppedMachine plans for a machine that was stopped. The list does not count against what answers: a Node is
// no longer Ready within a minute after its machine stops.
func (p *planner) planStoppedMachine(m *api.Machine) {
	const message, reason = "the cloud says that it is stopped", api.DriftMachineStopped
	start := newMachineAction(m, api.ActionStartMachine, reason, message)
	answers := isHead(m) && (!p.isAPISilent() || p.observed.Units[m.Index].Reached)
	switch {
	case p.isNodeReady(m):
		p.reportDrift(m.Name, reason, message+", though its Node is Ready", listOutdated)
	case answers:
		p.reportDrift(m.Name, reason, message+", though it answers", listOutdated)
	case p.observed.canStartMachine(p.listedMachine(m)) && !p.isRepairLimitReached(start, p.maxMachineStarts(m)):
		p.requestAction(start, "it is started")
	case isHead(m):
		p.reportFatalDrift(m.Name, reason, message, endsInError)
		p.failCluster(m, reason, fmt.Sprintf("%s, the head, is stopped, and skyctl cannot start it. The workers are "+
			"kept. Start it on the cloud, then run skyctl reconcile %s", m.Name, p.cluster.Metadata.Name))
	case p.isAPISilent():
		p.reportDrift(m.Name, reason, message, "it is replaced "+onceAPIAnswers)
	default:
		p.requestReplacement(m, reason, message)
	}
}

// maxMachineStarts bounds the starts of a stopped machine. The cloud may have stopped a spot machine to take it back;
// then a new one is more likely to be available.
func (p *planner) maxMachineStarts(m *api.Machine) int {
	if p.cluster.Spec.MachineSpecOf(*m).UseSpot {
		return 1
	}
	return p.policy.Restarts
}

// planRunningMachine plans for a running machine while the Kubernetes API answers.
func (p *planner) planRunningMachine(m *api.Machine) {
	node, registered := p.observed.Nodes[m.NodeName]
	unit := p.observed.Units[m.Index]
	// RKE2 removes the control plane of its only server whose Node is being deleted (rancher/rke2 pkg/rke2/spc.go).
	loses := isHead(m) && node.Deleting
	switch {
	case registered && node.Ready && !isUnitDead(unit) && !loses:
		p.planHealthyMachine(m, node)
		return
	case !isHead(m):
		p.unready = append(p.unready, m.Name)
	}
	// The Node's own time is by another clock, so the first sweep that saw the trouble counts.
	t := trouble{since: p.driftSince(m.Name, api.DriftUnitDead, api.DriftNodeMissing, api.DriftNodeNotReady)}
	switch {
	case isUnitDead(unit):
		t.reason, t.message = api.DriftUnitDead, "RKE2 is "+unit.Active
	case !registered:
		t.reason, t.message = api.DriftNodeMissing, "its Node is not in the cluster"
	case loses:
		t.reason, t.message = api.DriftNodeMissing, "its Node is being deleted, so RKE2 removes its control plane"
	default:
		t.reason, t.message, t.wait = api.DriftNodeNotReady, "its Node is not Ready: "+node.Why, p.policy.NotReadyFor
	}
	p.planTroubledMachine(m, t)
}

// planHealthyMachine plans for a machine whose Node is Ready. It reports what a person may have done on purpose.
func (p *planner) planHealthyMachine(m *api.Machine, n Node) {
	const next = "only reported"
	if !m.PowerOffAt.IsZero() {
		p.requestAction(newMachineAction(m, api.ActionDisarm, api.DriftPowerOff,
			"its power-off timer is still set, to "+formatClockTime(m.PowerOffAt)), "the timer is removed")
	}
	p.reportNodePressure(m, n)
	if n.Cordoned {
		p.reportDrift(m.Name, api.DriftNodeCordoned, "its Node takes no new pods (cordoned)", next)
	}
	if want := p.cluster.Status.Versions.RKE2; want != "" && n.Kubelet != "" && n.Kubelet != want {
		p.reportDrift(m.Name, api.DriftVersionSkew,
			fmt.Sprintf("its kubelet is %s, the cluster's release is %s", n.Kubelet, want), next)
	}
	p.planUpdate(m, n)
}

// trouble is what is wrong with a running machine.
type trouble struct {
	reason  api.DriftReason
	message string
	since   time.Time
	// wait is how long the machine may take to recover by itself.
	wait time.Duration
}

// planTroubledMachine waits if that may help, then restarts RKE2, and replaces a worker that SSH does not reach.
func (p *planner) planTroubledMachine(m *api.Machine, t trouble) {
	unit, checked := p.observed.Units[m.Index]
	unreachable := checked && !unit.Reached
	at, then := t.since.Add(t.wait), "RKE2 is restarted"
	switch {
	case unreachable:
		t.message += "; and SSH does not answer: " + unit.Error
		at, then = t.since.Add(p.policy.NotReadyFor+p.policy.AfterRestart), "it is replaced"
		// A dead unit says nothing about the Node, which has to be not Ready for NotReadyFor too.
		if seen := p.driftSince(m.Name, api.DriftNodeMissing,
			api.DriftNodeNotReady).Add(p.policy.NotReadyFor); seen.After(at) {
			at = seen
		}
	case isUnitStarting(unit):
		t.message += "; RKE2 is " + unit.Active
		if at = t.since.Add(p.policy.NotReadyFor); !unit.Since.IsZero() && unit.Since.After(t.since) {
			at = unit.Since.Add(p.policy.NotReadyFor)
		}
	}
	switch {
	case unreachable && isHead(m):
		p.reportDrift(m.Name, t.reason, t.message, "no action: check it on the cloud")
	case p.observed.At.Before(at):
		p.reportDrift(m.Name, t.reason, t.message, then+" at "+p.formatDueTime(at)+" if it is not Ready by then")
	case unreachable:
		p.requestReplacement(m, t.reason, t.message)
	case isHead(m):
		p.restartHead(m, t.reason, t.message)
	default:
		p.restartOrReplaceWorker(m, t)
	}
}

// restartOrReplaceWorker restarts RKE2 on a worker, and replaces the worker if a restart since the trouble began did
// not help.
func (p *planner) restartOrReplaceWorker(m *api.Machine, t trouble) {
	restart := newMachineAction(m, api.ActionRestart, t.reason, t.message)
	last := p.lastRepairOnMachine(restart)
	if last == nil || last.At.Before(t.since) {
		if !p.isRepairLimitReached(restart, p.policy.Restarts) {
			p.requestAction(restart, "RKE2 is restarted")
			return
		}
		p.requestReplacement(m, t.reason, t.message+"; restarts do not last")
		return
	}
	over := last.At
	if !isFailedRepair(*last) {
		over = last.Ended
	}
	if over = over.Add(p.policy.AfterRestart); p.observed.At.Before(over) {
		p.reportDrift(m.Name, t.reason, t.message, "RKE2 was restarted; it is replaced at "+p.formatDueTime(over)+
			" if that does not help")
		return
	}
	p.requestReplacement(m, t.reason, t.message+"; a restart did not help")
}

// untilQueried is the next step for a machine that the cloud's list names without its state.
const untilQueried = "no action until the cloud answers about it: check there whether two machines have its name, " +
	"and who owns them"

// requestReplacement requests a new machine for a worker's index. It never replaces a head, nor a machine whose state
// is unknown.
func (p *planner) requestReplacement(m *api.Machine, reason api.DriftReason, message string) {
	switch l := p.listedMachine(m); {
	case isHead(m):
		p.reportDrift(m.Name, reason, message, "no action: a head is not replaced")
		return
	case l != nil && l.Unknown:
		p.reportDrift(m.Name, reason, message, untilQueried)
		return
	}
	replace := newMachineAction(m, api.ActionReplace, reason, message)
	if p.listedMachine(m) == nil && !p.checkNameFree(m, replace) {
		return
	}
	p.requestActionWithLimit(replace, "it is replaced", p.policy.Replacements)
}
