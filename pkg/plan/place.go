package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// place decides about one place of the cluster.
func (d *deciding) place(m *api.Machine) {
	before := len(d.drift)
	l := d.listed(m)
	if l != nil && l.Name != m.Name && d.disputed[m] == "" {
		d.report(m.Name, api.DriftMachineConflict, fmt.Sprintf("its cloud shows it (id %s) as %q", l.ID, l.Name), "it is kept as it is; rename it to "+m.Name)
	}
	switch {
	case d.disputed[m] != "":
		d.report(m.Name, api.DriftMachineConflict, d.disputed[m], "nothing is done to it until that is mended on its cloud")
	case m.State != api.MachineReady:
		d.unfinished(m, l)
	case l == nil:
		d.unlisted(m)
	case l.Stopped:
		d.stopped(m)
	case d.readdress(m, l):
	case d.silentAPI():
		if isHead(m) {
			d.silent(m)
		}
	default:
		d.runs(m)
	}
	for _, drift := range d.drift[before:] {
		d.unsettled = d.unsettled || !drift.Reason.OnlyReported()
	}
}

const onceAPIAnswers = "once the Kubernetes API answers"

// unfinished is a place whose machine was never brought up to the end: a repair was cut off, or has failed.
func (d *deciding) unfinished(m *api.Machine, l *Listed) {
	message := fmt.Sprintf("the machine in its place is %s, %s", m.State, d.workOn(m))
	bring := on(m, api.ActionBringUp, api.DriftMachineUnready, message)
	ending := m.State == api.MachineGone || m.State == api.MachineTerminating
	onItsWay := m.State == api.MachineReserved || m.State == api.MachineLaunching
	switch {
	case isHead(m) && l == nil:
		d.unlistedHead(m, message)
	case isHead(m) && l.Stopped:
		d.stopped(m)
	case isHead(m) && !d.outOfReach():
		d.askWithin(bring, "it is brought up", d.p.Replacements)
	case d.silentAPI():
		d.report(m.Name, bring.Reason, message, "it goes on "+onceAPIAnswers)
	case l != nil && l.Unknown:
		d.report(m.Name, bring.Reason, message, onceAsked)
	case !ending && d.nodeReady(m) && l == nil:
		d.report(m.Name, bring.Reason, message+"; its Node is Ready, though the cloud does not list it", "nothing: the listing may be behind")
	case ending || l == nil && !onItsWay || l != nil && l.Stopped:
		d.replace(m, bring.Reason, message)
	case l == nil && !d.nameIsFree(m, bring):
	default:
		d.askWithin(bring, "it is brought up", d.p.Replacements)
	}
}

// workOn says what works on a place. A repair that was begun and has not ended may be under way, or its worker was lost.
func (d *deciding) workOn(m *api.Machine) string {
	for _, r := range slices.Backward(d.c.Status.Repairs) {
		brings := r.Action.Kind == api.ActionReplace || r.Action.Kind == api.ActionBringUp
		switch {
		case !brings || r.Action.Index != m.Index:
		case r.Ended.IsZero():
			return fmt.Sprintf("and its %s, begun at %s, has not ended", r.Action.Kind, clock(r.At))
		default:
			return "and nothing works on it"
		}
	}
	return "and nothing works on it"
}

// unlisted is a machine that the cloud does not list. A listing may be behind, so it is not believed against a Node that is
// Ready, nor where there is nobody else to ask.
func (d *deciding) unlisted(m *api.Machine) {
	const message = "the cloud does not list it any more"
	switch {
	case d.nodeReady(m):
		d.report(m.Name, api.DriftMachineGone, message+", though its Node is Ready", "nothing: the listing may be behind")
	case isHead(m):
		d.unlistedHead(m, message)
	case d.silentAPI():
		d.report(m.Name, api.DriftMachineGone, message, "it is replaced "+onceAPIAnswers)
	case d.w.Units[m.Index].Reached:
		d.report(m.Name, api.DriftMachineGone, message+", though it answers over SSH", "nothing: the listing may be behind")
	default:
		d.replace(m, api.DriftMachineGone, message)
	}
}

// stopped is a machine that somebody stopped. A listing that says so is not believed against what answers: a Node is not Ready
// any more within a minute of its machine's end.
func (d *deciding) stopped(m *api.Machine) {
	const message, reason = "the cloud says that it is stopped", api.DriftMachineStopped
	start := on(m, api.ActionStartMachine, reason, message)
	answers := isHead(m) && (!d.silentAPI() || d.w.Units[m.Index].Reached)
	switch {
	case d.nodeReady(m):
		d.report(m.Name, reason, message+", though its Node is Ready", "nothing: the listing may be behind")
	case answers:
		d.report(m.Name, reason, message+", though it answers", "nothing: the listing may be behind")
	case d.w.canStart(d.listed(m)) && !d.spent(start, d.startsOf()):
		d.ask(start, "it is started")
	case isHead(m):
		d.report(m.Name, reason, message, endsInError)
		d.giveUp(m, reason, fmt.Sprintf("%s, the head, is stopped, and skyctl can't start it. The workers were left alone. "+
			"Start it on the cloud, then run skyctl reconcile %s", m.Name, d.c.Metadata.Name))
	case d.silentAPI():
		d.report(m.Name, reason, message, "it is replaced "+onceAPIAnswers)
	default:
		d.replace(m, reason, message)
	}
}

// canStart says that a machine which is listed as stopped can be started again.
func (w World) canStart(l *Listed) bool { return w.CanStart && l != nil && !l.NoStart }

// startsOf is how often a machine is started before it is given up. One of spot may have been stopped because its cloud wants
// it back: another one is more likely to be had.
func (d *deciding) startsOf() int {
	if d.c.Spec.UseSpot {
		return 1
	}
	return d.p.Restarts
}

// dead says that RKE2 does not run and is not about to; starting that it is.
func dead(u Unit) bool     { return u.Reached && (u.Active == "failed" || u.Active == "inactive") }
func starting(u Unit) bool { return u.Reached && (u.Active == "activating" || u.Active == "reloading") }

// runs is a machine that runs in a cluster whose API answers.
func (d *deciding) runs(m *api.Machine) {
	node, registered := d.w.Nodes[m.NodeName]
	unit := d.w.Units[m.Index]
	switch {
	case registered && node.Ready && !dead(unit):
		d.settled(m, node)
		return
	case !isHead(m):
		d.unready = append(d.unready, m.Name)
	}
	// What a Node says of its own time is by another clock than ours; what counts is what was seen here.
	t := trouble{since: d.since(m.Name, api.DriftUnitDead, api.DriftNodeMissing, api.DriftNodeNotReady)}
	switch {
	case dead(unit):
		t.reason, t.message = api.DriftUnitDead, "RKE2 is "+unit.Active
	case !registered:
		t.reason, t.message = api.DriftNodeMissing, "its Node is not in the cluster"
	default:
		t.reason, t.message, t.wait = api.DriftNodeNotReady, "its Node is not Ready: "+node.Why, d.p.NotReadyFor
	}
	d.troubled(m, t)
}

// settled is a machine that is as it should be, but for what somebody may want.
func (d *deciding) settled(m *api.Machine, n Node) {
	const next = "only reported"
	if !m.PowerOffAt.IsZero() {
		d.ask(on(m, api.ActionDisarm, api.DriftPowerOff, "its power-off timer is still set, for "+clock(m.PowerOffAt)), "it is taken away")
	}
	d.pressed(m, n)
	if n.Cordoned {
		d.report(m.Name, api.DriftNodeCordoned, "its Node takes no new pods (cordoned)", next)
	}
	if want := d.c.Status.Versions.RKE2; want != "" && n.Kubelet != "" && n.Kubelet != want {
		d.report(m.Name, api.DriftVersionSkew, fmt.Sprintf("its kubelet is %s, the cluster's release %s", n.Kubelet, want), next)
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

// troubled waits where that may help, then restarts RKE2, and replaces a worker that can't be restarted.
func (d *deciding) troubled(m *api.Machine, t trouble) {
	unit, looked := d.w.Units[m.Index]
	unreachable := looked && !unit.Reached
	at, then := t.since.Add(t.wait), "RKE2 is restarted"
	switch {
	case unreachable:
		t.message += "; and SSH does not answer: " + unit.Error
		at, then = t.since.Add(d.p.NotReadyFor+d.p.AfterRestart), "it is replaced"
		// A unit that is dead says nothing about its Node: for as long at least as that may be not Ready it has to have been so.
		if seen := d.since(m.Name, api.DriftNodeMissing, api.DriftNodeNotReady).Add(d.p.NotReadyFor); seen.After(at) {
			at = seen
		}
	case starting(unit):
		t.message += "; RKE2 is " + unit.Active
		if at = t.since.Add(d.p.NotReadyFor); !unit.Since.IsZero() && unit.Since.After(t.since) {
			at = unit.Since.Add(d.p.NotReadyFor)
		}
	}
	switch {
	case unreachable && isHead(m):
		d.report(m.Name, t.reason, t.message, "nothing, from here: look at it on the cloud")
	case d.w.At.Before(at):
		d.report(m.Name, t.reason, t.message, then+" at "+clock(at)+" if it is not Ready by then")
	case unreachable:
		d.replace(m, t.reason, t.message)
	case isHead(m):
		d.restartHead(m, t.reason, t.message)
	default:
		d.mend(m, t)
	}
}

// mend restarts RKE2 on a worker, and replaces one on which that did not help since the trouble began.
func (d *deciding) mend(m *api.Machine, t trouble) {
	restart := on(m, api.ActionRestart, t.reason, t.message)
	last := d.lastOn(restart)
	if last == nil || last.At.Before(t.since) {
		if !d.spent(restart, d.p.Restarts) {
			d.ask(restart, "RKE2 is restarted")
			return
		}
		d.replace(m, t.reason, t.message+"; restarts do not last")
		return
	}
	over := last.At
	if !vain(*last) {
		over = last.Ended
	}
	if over = over.Add(d.p.AfterRestart); d.w.At.Before(over) {
		d.report(m.Name, t.reason, t.message, "RKE2 was restarted; it is replaced at "+clock(over)+" if that did not help by then")
		return
	}
	d.replace(m, t.reason, t.message+"; a restart did not help")
}

// onceAsked comes next about a machine of which a listing does not know how it is.
const onceAsked = "nothing, until its cloud can be asked about it: look there whether it has two of that name, and whose they are"

// replace gives a worker's place to a new machine. A head is never replaced, nor a machine that nobody can be asked about.
func (d *deciding) replace(m *api.Machine, reason api.DriftReason, message string) {
	switch l := d.listed(m); {
	case isHead(m):
		d.report(m.Name, reason, message, "nothing: a head is not replaced")
		return
	case l != nil && l.Unknown:
		d.report(m.Name, reason, message, onceAsked)
		return
	}
	replace := on(m, api.ActionReplace, reason, message)
	if d.listed(m) == nil && !d.nameIsFree(m, replace) {
		return
	}
	d.askWithin(replace, "it is replaced", d.p.Replacements)
}
