package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planMachine decides about one place of the cluster.
func (p *planner) planMachine(m *api.Machine) {
	before := len(p.drift)
	l := p.listedMachine(m)
	if l != nil && l.Name != m.Name && p.disputed[m] == "" {
		p.reportDrift(m.Name, api.DriftMachineConflict, fmt.Sprintf("its cloud shows it (id %s) as %q", l.ID, l.Name),
			"it is kept as it is; rename it to "+m.Name)
	}
	switch {
	case p.disputed[m] != "":
		p.reportDrift(m.Name, api.DriftMachineConflict, p.disputed[m],
			"nothing is done to it until that is mended on its cloud")
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
	for _, drift := range p.drift[before:] {
		p.unsettled = p.unsettled || !drift.Reason.IsOnlyReported()
	}
}

const onceAPIAnswers = "once the Kubernetes API answers"

// planUnfinishedMachine is a place whose machine was never brought up to the end: a repair was cut off, or has failed.
func (p *planner) planUnfinishedMachine(m *api.Machine, l *ListedMachine) {
	message := fmt.Sprintf("the machine in its place is %s, %s", m.State, p.describeRepairInProgress(m))
	bring := newMachineAction(m, api.ActionBringUp, api.DriftMachineUnready, message)
	ending := m.State == api.MachineGone || m.State == api.MachineTerminating
	onItsWay := m.State == api.MachineReserved || m.State == api.MachineLaunching
	switch {
	case isHead(m) && l == nil:
		p.planUnlistedHead(m, message)
	case isHead(m) && l.Stopped:
		p.planStoppedMachine(m)
	case isHead(m) && !p.isAPIUnreachable():
		p.requestActionWithLimit(bring, "it is brought up", p.policy.Replacements)
	case p.isAPISilent():
		p.reportDrift(m.Name, bring.Reason, message, "it goes on "+onceAPIAnswers)
	case l != nil && l.Unknown:
		p.reportDrift(m.Name, bring.Reason, message, onceAsked)
	case !ending && p.isNodeReady(m) && l == nil:
		p.reportDrift(m.Name, bring.Reason, message+"; its Node is Ready, though the cloud does not list it",
			"nothing: the listing may be behind")
	case ending || l == nil && !onItsWay || l != nil && l.Stopped:
		p.requestReplacement(m, bring.Reason, message)
	case l == nil && !p.checkNameFree(m, bring):
	default:
		p.requestActionWithLimit(bring, "it is brought up", p.policy.Replacements)
	}
}

// describeRepairInProgress says what works on a place. A repair that was begun and has not ended may be under way, or
// its worker was lost.
func (p *planner) describeRepairInProgress(m *api.Machine) string {
	for _, r := range slices.Backward(p.cluster.Status.Repairs) {
		brings := r.Action.Kind == api.ActionReplace || r.Action.Kind == api.ActionBringUp
		switch {
		case !brings || r.Action.Index != m.Index:
		case r.Ended.IsZero():
			return fmt.Sprintf("and its %s, begun at %s, has not ended", r.Action.Kind, formatClockTime(r.At))
		default:
			return "and nothing works on it"
		}
	}
	return "and nothing works on it"
}

// planUnlistedMachine is a machine that the cloud does not list. A listing may be behind, so it is not believed against
// a Node that is Ready, nor where there is nobody else to ask.
func (p *planner) planUnlistedMachine(m *api.Machine) {
	const message = "the cloud does not list it any more"
	switch {
	case p.isNodeReady(m):
		p.reportDrift(m.Name, api.DriftMachineGone, message+", though its Node is Ready",
			"nothing: the listing may be behind")
	case isHead(m):
		p.planUnlistedHead(m, message)
	case p.isAPISilent():
		p.reportDrift(m.Name, api.DriftMachineGone, message, "it is replaced "+onceAPIAnswers)
	case p.observed.Units[m.Index].Reached:
		p.reportDrift(m.Name, api.DriftMachineGone, message+", though it answers over SSH",
			"nothing: the listing may be behind")
	default:
		p.requestReplacement(m, api.DriftMachineGone, message)
	}
}

// planStoppedMachine is a machine that somebody stopped. A listing that says so is not believed against what answers: a
// Node is not Ready any more within a minute of its machine's end.
func (p *planner) planStoppedMachine(m *api.Machine) {
	const message, reason = "the cloud says that it is stopped", api.DriftMachineStopped
	start := newMachineAction(m, api.ActionStartMachine, reason, message)
	answers := isHead(m) && (!p.isAPISilent() || p.observed.Units[m.Index].Reached)
	switch {
	case p.isNodeReady(m):
		p.reportDrift(m.Name, reason, message+", though its Node is Ready", "nothing: the listing may be behind")
	case answers:
		p.reportDrift(m.Name, reason, message+", though it answers", "nothing: the listing may be behind")
	case p.observed.canStartMachine(p.listedMachine(m)) && !p.isRepairLimitReached(start, p.maxMachineStarts()):
		p.requestAction(start, "it is started")
	case isHead(m):
		p.reportDrift(m.Name, reason, message, endsInError)
		p.failCluster(m, reason, fmt.Sprintf("%s, the head, is stopped, and skyctl can't start it. The workers were "+
			"left alone. "+
			"Start it on the cloud, then run skyctl reconcile %s", m.Name, p.cluster.Metadata.Name))
	case p.isAPISilent():
		p.reportDrift(m.Name, reason, message, "it is replaced "+onceAPIAnswers)
	default:
		p.requestReplacement(m, reason, message)
	}
}

// maxMachineStarts is how often a machine is started before it is given up. One of spot may have been stopped because
// its cloud wants it back: another one is more likely to be had.
func (p *planner) maxMachineStarts() int {
	if p.cluster.Spec.UseSpot {
		return 1
	}
	return p.policy.Restarts
}

// planRunningMachine is a machine that runs in a cluster whose API answers.
func (p *planner) planRunningMachine(m *api.Machine) {
	node, registered := p.observed.Nodes[m.NodeName]
	unit := p.observed.Units[m.Index]
	switch {
	case registered && node.Ready && !isUnitDead(unit):
		p.planHealthyMachine(m, node)
		return
	case !isHead(m):
		p.unready = append(p.unready, m.Name)
	}
	// What a Node says of its own time is by another clock than ours; what counts is what was seen here.
	t := trouble{since: p.driftSince(m.Name, api.DriftUnitDead, api.DriftNodeMissing, api.DriftNodeNotReady)}
	switch {
	case isUnitDead(unit):
		t.reason, t.message = api.DriftUnitDead, "RKE2 is "+unit.Active
	case !registered:
		t.reason, t.message = api.DriftNodeMissing, "its Node is not in the cluster"
	default:
		t.reason, t.message, t.wait = api.DriftNodeNotReady, "its Node is not Ready: "+node.Why, p.policy.NotReadyFor
	}
	p.planTroubledMachine(m, t)
}

// planHealthyMachine is a machine that is as it should be, but for what somebody may want.
func (p *planner) planHealthyMachine(m *api.Machine, n Node) {
	const next = "only reported"
	if !m.PowerOffAt.IsZero() {
		p.requestAction(newMachineAction(m, api.ActionDisarm, api.DriftPowerOff,
			"its power-off timer is still set, for "+formatClockTime(m.PowerOffAt)), "it is taken away")
	}
	p.reportNodePressure(m, n)
	if n.Cordoned {
		p.reportDrift(m.Name, api.DriftNodeCordoned, "its Node takes no new pods (cordoned)", next)
	}
	if want := p.cluster.Status.Versions.RKE2; want != "" && n.Kubelet != "" && n.Kubelet != want {
		p.reportDrift(m.Name, api.DriftVersionSkew,
			fmt.Sprintf("its kubelet is %s, the cluster's release %s", n.Kubelet, want), next)
	}
}

// trouble is what is wrong with a machine that runs.
type trouble struct {
	reason  api.DriftReason
	message string
	since   time.Time
	// wait is how long it may heal by itself.
	wait time.Duration
}

// planTroubledMachine waits where that may help, then restarts RKE2, and replaces a worker that can't be restarted.
func (p *planner) planTroubledMachine(m *api.Machine, t trouble) {
	unit, looked := p.observed.Units[m.Index]
	unreachable := looked && !unit.Reached
	at, then := t.since.Add(t.wait), "RKE2 is restarted"
	switch {
	case unreachable:
		t.message += "; and SSH does not answer: " + unit.Error
		at, then = t.since.Add(p.policy.NotReadyFor+p.policy.AfterRestart), "it is replaced"
		// A unit that is dead says nothing about its Node: for as long at least as that may be not Ready it has to have
		// been so.
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
		p.reportDrift(m.Name, t.reason, t.message, "nothing, from here: look at it on the cloud")
	case p.observed.At.Before(at):
		p.reportDrift(m.Name, t.reason, t.message, then+" at "+formatClockTime(at)+" if it is not Ready by then")
	case unreachable:
		p.requestReplacement(m, t.reason, t.message)
	case isHead(m):
		p.restartHead(m, t.reason, t.message)
	default:
		p.restartOrReplaceWorker(m, t)
	}
}

// restartOrReplaceWorker restarts RKE2 on a worker, and replaces one on which that did not help since the trouble
// began.
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
		p.reportDrift(m.Name, t.reason, t.message, "RKE2 was restarted; it is replaced at "+formatClockTime(over)+
			" if that did not help by then")
		return
	}
	p.requestReplacement(m, t.reason, t.message+"; a restart did not help")
}

// onceAsked comes next about a machine of which a listing does not know how it is.
const onceAsked = "nothing, until its cloud can be asked about it: look there whether it has two of that name, and " +
	"whose they are"

// requestReplacement gives a worker's place to a new machine. A head is never replaced, nor a machine that nobody can
// be asked about.
func (p *planner) requestReplacement(m *api.Machine, reason api.DriftReason, message string) {
	switch l := p.listedMachine(m); {
	case isHead(m):
		p.reportDrift(m.Name, reason, message, "nothing: a head is not replaced")
		return
	case l != nil && l.Unknown:
		p.reportDrift(m.Name, reason, message, onceAsked)
		return
	}
	replace := newMachineAction(m, api.ActionReplace, reason, message)
	if p.listedMachine(m) == nil && !p.checkNameFree(m, replace) {
		return
	}
	p.requestActionWithLimit(replace, "it is replaced", p.policy.Replacements)
}
