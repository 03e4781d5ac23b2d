package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// planMachine decides about one place of the cluster.
func (d *planner) planMachine(m *api.Machine) {
	before := len(d.drift)
	l := d.listedMachine(m)
	if l != nil && l.Name != m.Name && d.disputed[m] == "" {
		d.reportDrift(m.Name, api.DriftMachineConflict, fmt.Sprintf("its cloud shows it (id %s) as %q", l.ID, l.Name),
			"it is kept as it is; rename it to "+m.Name)
	}
	switch {
	case d.disputed[m] != "":
		d.reportDrift(m.Name, api.DriftMachineConflict, d.disputed[m],
			"nothing is done to it until that is mended on its cloud")
	case m.State != api.MachineReady:
		d.planUnfinishedMachine(m, l)
	case l == nil:
		d.planUnlistedMachine(m)
	case l.Stopped:
		d.planStoppedMachine(m)
	case d.planAddressChange(m, l):
	case d.isAPISilent():
		if isHead(m) {
			d.planSilentHead(m)
		}
	default:
		d.planRunningMachine(m)
	}
	for _, drift := range d.drift[before:] {
		d.unsettled = d.unsettled || !drift.Reason.IsOnlyReported()
	}
}

const onceAPIAnswers = "once the Kubernetes API answers"

// planUnfinishedMachine is a place whose machine was never brought up to the end: a repair was cut off, or has failed.
func (d *planner) planUnfinishedMachine(m *api.Machine, l *ListedMachine) {
	message := fmt.Sprintf("the machine in its place is %s, %s", m.State, d.describeRepairInProgress(m))
	bring := newMachineAction(m, api.ActionBringUp, api.DriftMachineUnready, message)
	ending := m.State == api.MachineGone || m.State == api.MachineTerminating
	onItsWay := m.State == api.MachineReserved || m.State == api.MachineLaunching
	switch {
	case isHead(m) && l == nil:
		d.planUnlistedHead(m, message)
	case isHead(m) && l.Stopped:
		d.planStoppedMachine(m)
	case isHead(m) && !d.isAPIUnreachable():
		d.requestActionWithLimit(bring, "it is brought up", d.p.Replacements)
	case d.isAPISilent():
		d.reportDrift(m.Name, bring.Reason, message, "it goes on "+onceAPIAnswers)
	case l != nil && l.Unknown:
		d.reportDrift(m.Name, bring.Reason, message, onceAsked)
	case !ending && d.isNodeReady(m) && l == nil:
		d.reportDrift(m.Name, bring.Reason, message+"; its Node is Ready, though the cloud does not list it",
			"nothing: the listing may be behind")
	case ending || l == nil && !onItsWay || l != nil && l.Stopped:
		d.requestReplacement(m, bring.Reason, message)
	case l == nil && !d.checkNameFree(m, bring):
	default:
		d.requestActionWithLimit(bring, "it is brought up", d.p.Replacements)
	}
}

// describeRepairInProgress says what works on a place. A repair that was begun and has not ended may be under way, or
// its worker was lost.
func (d *planner) describeRepairInProgress(m *api.Machine) string {
	for _, r := range slices.Backward(d.c.Status.Repairs) {
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
func (d *planner) planUnlistedMachine(m *api.Machine) {
	const message = "the cloud does not list it any more"
	switch {
	case d.isNodeReady(m):
		d.reportDrift(m.Name, api.DriftMachineGone, message+", though its Node is Ready",
			"nothing: the listing may be behind")
	case isHead(m):
		d.planUnlistedHead(m, message)
	case d.isAPISilent():
		d.reportDrift(m.Name, api.DriftMachineGone, message, "it is replaced "+onceAPIAnswers)
	case d.w.Units[m.Index].Reached:
		d.reportDrift(m.Name, api.DriftMachineGone, message+", though it answers over SSH",
			"nothing: the listing may be behind")
	default:
		d.requestReplacement(m, api.DriftMachineGone, message)
	}
}

// planStoppedMachine is a machine that somebody stopped. A listing that says so is not believed against what answers: a
// Node is not Ready any more within a minute of its machine's end.
func (d *planner) planStoppedMachine(m *api.Machine) {
	const message, reason = "the cloud says that it is stopped", api.DriftMachineStopped
	start := newMachineAction(m, api.ActionStartMachine, reason, message)
	answers := isHead(m) && (!d.isAPISilent() || d.w.Units[m.Index].Reached)
	switch {
	case d.isNodeReady(m):
		d.reportDrift(m.Name, reason, message+", though its Node is Ready", "nothing: the listing may be behind")
	case answers:
		d.reportDrift(m.Name, reason, message+", though it answers", "nothing: the listing may be behind")
	case d.w.canStartMachine(d.listedMachine(m)) && !d.isRepairLimitReached(start, d.maxMachineStarts()):
		d.requestAction(start, "it is started")
	case isHead(m):
		d.reportDrift(m.Name, reason, message, endsInError)
		d.failCluster(m, reason, fmt.Sprintf("%s, the head, is stopped, and skyctl can't start it. The workers were "+
			"left alone. "+
			"Start it on the cloud, then run skyctl reconcile %s", m.Name, d.c.Metadata.Name))
	case d.isAPISilent():
		d.reportDrift(m.Name, reason, message, "it is replaced "+onceAPIAnswers)
	default:
		d.requestReplacement(m, reason, message)
	}
}

// canStartMachine says that a machine which is listed as stopped can be started again.
func (w Observation) canStartMachine(l *ListedMachine) bool {
	return w.CanStart && l != nil && !l.NoStart
}

// maxMachineStarts is how often a machine is started before it is given up. One of spot may have been stopped because
// its cloud wants it back: another one is more likely to be had.
func (d *planner) maxMachineStarts() int {
	if d.c.Spec.UseSpot {
		return 1
	}
	return d.p.Restarts
}

// isUnitDead says that RKE2 does not run and is not about to; starting that it is.
func isUnitDead(u RKE2Unit) bool {
	return u.Reached && (u.Active == "failed" || u.Active == "inactive")
}
func isUnitStarting(u RKE2Unit) bool {
	return u.Reached && (u.Active == "activating" || u.Active == "reloading")
}

// planRunningMachine is a machine that runs in a cluster whose API answers.
func (d *planner) planRunningMachine(m *api.Machine) {
	node, registered := d.w.Nodes[m.NodeName]
	unit := d.w.Units[m.Index]
	switch {
	case registered && node.Ready && !isUnitDead(unit):
		d.planHealthyMachine(m, node)
		return
	case !isHead(m):
		d.unready = append(d.unready, m.Name)
	}
	// What a Node says of its own time is by another clock than ours; what counts is what was seen here.
	t := trouble{since: d.driftSince(m.Name, api.DriftUnitDead, api.DriftNodeMissing, api.DriftNodeNotReady)}
	switch {
	case isUnitDead(unit):
		t.reason, t.message = api.DriftUnitDead, "RKE2 is "+unit.Active
	case !registered:
		t.reason, t.message = api.DriftNodeMissing, "its Node is not in the cluster"
	default:
		t.reason, t.message, t.wait = api.DriftNodeNotReady, "its Node is not Ready: "+node.Why, d.p.NotReadyFor
	}
	d.planTroubledMachine(m, t)
}

// planHealthyMachine is a machine that is as it should be, but for what somebody may want.
func (d *planner) planHealthyMachine(m *api.Machine, n Node) {
	const next = "only reported"
	if !m.PowerOffAt.IsZero() {
		d.requestAction(newMachineAction(m, api.ActionDisarm, api.DriftPowerOff,
			"its power-off timer is still set, for "+formatClockTime(m.PowerOffAt)), "it is taken away")
	}
	d.reportNodePressure(m, n)
	if n.Cordoned {
		d.reportDrift(m.Name, api.DriftNodeCordoned, "its Node takes no new pods (cordoned)", next)
	}
	if want := d.c.Status.Versions.RKE2; want != "" && n.Kubelet != "" && n.Kubelet != want {
		d.reportDrift(m.Name, api.DriftVersionSkew,
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
func (d *planner) planTroubledMachine(m *api.Machine, t trouble) {
	unit, looked := d.w.Units[m.Index]
	unreachable := looked && !unit.Reached
	at, then := t.since.Add(t.wait), "RKE2 is restarted"
	switch {
	case unreachable:
		t.message += "; and SSH does not answer: " + unit.Error
		at, then = t.since.Add(d.p.NotReadyFor+d.p.AfterRestart), "it is replaced"
		// A unit that is dead says nothing about its Node: for as long at least as that may be not Ready it has to have
		// been so.
		if seen := d.driftSince(m.Name, api.DriftNodeMissing,
			api.DriftNodeNotReady).Add(d.p.NotReadyFor); seen.After(at) {
			at = seen
		}
	case isUnitStarting(unit):
		t.message += "; RKE2 is " + unit.Active
		if at = t.since.Add(d.p.NotReadyFor); !unit.Since.IsZero() && unit.Since.After(t.since) {
			at = unit.Since.Add(d.p.NotReadyFor)
		}
	}
	switch {
	case unreachable && isHead(m):
		d.reportDrift(m.Name, t.reason, t.message, "nothing, from here: look at it on the cloud")
	case d.w.At.Before(at):
		d.reportDrift(m.Name, t.reason, t.message, then+" at "+formatClockTime(at)+" if it is not Ready by then")
	case unreachable:
		d.requestReplacement(m, t.reason, t.message)
	case isHead(m):
		d.restartHead(m, t.reason, t.message)
	default:
		d.restartOrReplaceWorker(m, t)
	}
}

// restartOrReplaceWorker restarts RKE2 on a worker, and replaces one on which that did not help since the trouble
// began.
func (d *planner) restartOrReplaceWorker(m *api.Machine, t trouble) {
	restart := newMachineAction(m, api.ActionRestart, t.reason, t.message)
	last := d.lastRepairOnMachine(restart)
	if last == nil || last.At.Before(t.since) {
		if !d.isRepairLimitReached(restart, d.p.Restarts) {
			d.requestAction(restart, "RKE2 is restarted")
			return
		}
		d.requestReplacement(m, t.reason, t.message+"; restarts do not last")
		return
	}
	over := last.At
	if !isFailedRepair(*last) {
		over = last.Ended
	}
	if over = over.Add(d.p.AfterRestart); d.w.At.Before(over) {
		d.reportDrift(m.Name, t.reason, t.message, "RKE2 was restarted; it is replaced at "+formatClockTime(over)+
			" if that did not help by then")
		return
	}
	d.requestReplacement(m, t.reason, t.message+"; a restart did not help")
}

// onceAsked comes next about a machine of which a listing does not know how it is.
const onceAsked = "nothing, until its cloud can be asked about it: look there whether it has two of that name, and " +
	"whose they are"

// requestReplacement gives a worker's place to a new machine. A head is never replaced, nor a machine that nobody can
// be asked about.
func (d *planner) requestReplacement(m *api.Machine, reason api.DriftReason, message string) {
	switch l := d.listedMachine(m); {
	case isHead(m):
		d.reportDrift(m.Name, reason, message, "nothing: a head is not replaced")
		return
	case l != nil && l.Unknown:
		d.reportDrift(m.Name, reason, message, onceAsked)
		return
	}
	replace := newMachineAction(m, api.ActionReplace, reason, message)
	if d.listedMachine(m) == nil && !d.checkNameFree(m, replace) {
		return
	}
	d.requestActionWithLimit(replace, "it is replaced", d.p.Replacements)
}
