package plan

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// place decides about one place of the cluster.
func (d *deciding) place(index int) {
	m := d.record(index)
	if m == nil {
		return // Valid refuses such a cluster
	}
	l := d.listed(m)
	switch {
	case m.State != api.MachineReady:
		d.unfinished(m, l)
	case l == nil:
		d.unlisted(m)
	case l.Stopped:
		d.stopped(m)
	case d.w.APIError != "":
		d.silent(m)
	default:
		d.running(m)
	}
}

// unfinished is a place whose machine was never brought up to the end: a repair was cut off, or has failed.
func (d *deciding) unfinished(m *api.Machine, l *Listed) {
	onItsWay := l != nil || m.State == api.MachineReserved || m.State == api.MachineLaunching
	switch {
	case m.State == api.MachineGone || m.State == api.MachineTerminating || !onItsWay:
		if m.Role == api.RoleHead {
			d.lost(m, "its machine was terminated")
			return
		}
		d.replace(m, api.DriftMachineUnready, fmt.Sprintf("the machine in its place is %s", m.State))
	case d.w.APIError != "":
		d.report(m.Name, api.DriftMachineUnready, fmt.Sprintf("it is %s", m.State), "it goes on once the Kubernetes API answers")
	default:
		d.paced(m, api.DriftMachineUnready, api.ActionBringUp, fmt.Sprintf("it is %s, and nothing works on it", m.State), "it is brought up", d.p.Replacements)
	}
}

// unlisted is a machine that the cloud does not list. A listing may be behind, so it is not believed against a Node that is
// Ready, nor where there is nobody else to ask.
func (d *deciding) unlisted(m *api.Machine) {
	const message = "the cloud does not list it any more"
	switch {
	case d.w.APIError == "" && d.w.Nodes[m.NodeName].Ready:
		d.report(m.Name, api.DriftMachineGone, message+", though its Node is Ready", "nothing: the listing may be behind")
	case m.Role != api.RoleHead && d.w.APIError != "":
		d.report(m.Name, api.DriftMachineGone, message, "it is replaced once the Kubernetes API answers")
	case m.Role != api.RoleHead:
		d.replace(m, api.DriftMachineGone, message)
	case d.w.APIError == "" || d.w.Units[m.Index].Reached:
		d.report(m.Name, api.DriftMachineGone, message+", though it answers", "nothing: the listing may be behind")
	default:
		d.lost(m, message)
	}
}

// lost is a head that is gone, and with it the cluster's state. Its workers are of no use without it, but they may hold
// somebody's data: what becomes of them is for a person to say.
func (d *deciding) lost(m *api.Machine, why string) {
	d.report(m.Name, api.DriftHeadLost, why, "the cluster goes to ERROR; its workers are left alone")
	d.giveUp(m, api.DriftHeadLost, fmt.Sprintf("%s, the head, is lost (%s), and with it the cluster's state. The workers were left alone, and go on "+
		"billing: save what they hold and delete the cluster, or run the same create again, which terminates them and builds the cluster anew", m.Name, why))
}

// stopped is a machine that somebody stopped.
func (d *deciding) stopped(m *api.Machine) {
	const message = "the cloud says that it is stopped"
	tried := d.spent(api.ActionStartMachine, m.Index, d.p.Restarts)
	switch {
	case d.w.CanStart && !tried:
		d.paced(m, api.DriftMachineStopped, api.ActionStartMachine, message, "it is started", 0)
	case m.Role == api.RoleHead:
		d.report(m.Name, api.DriftMachineStopped, message, "the cluster goes to ERROR; its workers are left alone")
		d.giveUp(m, api.DriftMachineStopped, m.Name+", the head, is stopped, and skyctl can't start it: start it on the cloud, then run skyctl reconcile "+
			d.c.Metadata.Name+d.history(api.ActionStartMachine, m.Index))
	case d.w.APIError != "":
		d.report(m.Name, api.DriftMachineStopped, message, "it is replaced once the Kubernetes API answers")
	default:
		d.replace(m, api.DriftMachineStopped, message)
	}
}

// silent is a machine that runs in a cluster whose API does not answer. Then only the head is touched.
func (d *deciding) silent(m *api.Machine) {
	if m.Role != api.RoleHead {
		return
	}
	unit, looked := d.w.Units[m.Index]
	at := d.since("", api.DriftAPISilent).Add(d.p.NotReadyFor)
	switch {
	case !looked || !unit.Reached:
		d.report(m.Name, api.DriftAPISilent, "neither its API nor its SSH answers: "+unit.Error,
			"nothing, from here: the cloud says that it runs; look at it there, and restart it if it hangs")
	case dead(unit):
		d.restartHead(m, api.DriftUnitDead, "RKE2 is "+unit.Active)
	case d.w.At.Before(at):
		d.report(m.Name, api.DriftAPISilent, "RKE2 is "+unit.Active+", and its API does not answer", "it is restarted at "+clock(at)+" if it does not answer by then")
	default:
		d.restartHead(m, api.DriftAPISilent, "RKE2 is "+unit.Active+", and its API does not answer")
	}
}

// dead says that RKE2 does not run and is not about to.
func dead(u Unit) bool { return u.Reached && (u.Active == "failed" || u.Active == "inactive") }

// running is a machine that runs in a cluster whose API answers.
func (d *deciding) running(m *api.Machine) {
	node, registered := d.w.Nodes[m.NodeName]
	unit, looked := d.w.Units[m.Index]
	if !registered || !node.Ready {
		d.unready = append(d.unready, m.Name)
	}
	switch {
	case looked && dead(unit):
		d.mend(m, api.DriftUnitDead, "RKE2 is "+unit.Active, d.since(m.Name, api.DriftUnitDead))
	case !registered:
		d.mend(m, api.DriftNodeMissing, "its Node is not in the cluster", d.since(m.Name, api.DriftNodeMissing))
	case !node.Ready:
		d.notReady(m, node, unit, looked)
	case node.Cordoned:
		d.report(m.Name, api.DriftNodeCordoned, "its Node takes no new pods (cordoned)", "only reported")
	case d.skewed(node):
		d.report(m.Name, api.DriftVersionSkew, fmt.Sprintf("its kubelet is %s, the cluster's release %s", node.Kubelet, d.c.Status.Versions.RKE2), "only reported")
	}
}

func (d *deciding) skewed(n Node) bool {
	want := d.c.Status.Versions.RKE2
	return want != "" && n.Kubelet != "" && n.Kubelet != want
}

// notReady waits, as nodes come back by themselves, then restarts once, then replaces.
func (d *deciding) notReady(m *api.Machine, n Node, u Unit, looked bool) {
	since := n.Since
	if since.IsZero() {
		since = d.since(m.Name, api.DriftNodeNotReady)
	}
	message := "its Node is not Ready: " + n.Why
	at := since.Add(d.p.NotReadyFor)
	unreachable := looked && !u.Reached
	if unreachable {
		at = at.Add(d.p.AfterRestart) // there is no restarting it
		message += "; and SSH does not answer: " + u.Error
	}
	switch {
	case d.w.At.Before(at):
		d.report(m.Name, api.DriftNodeNotReady, message, "something is done at "+clock(at)+" if it is not Ready by then")
	case unreachable && m.Role == api.RoleHead:
		d.report(m.Name, api.DriftNodeNotReady, message, "nothing, from here: look at it on the cloud")
	case unreachable:
		d.replace(m, api.DriftNodeNotReady, message)
	default:
		d.mend(m, api.DriftNodeNotReady, message, since)
	}
}

// mend restarts RKE2 on a machine; a worker on which that did not help since the trouble began is replaced.
func (d *deciding) mend(m *api.Machine, reason api.DriftReason, message string, since time.Time) {
	last := d.lastOn(api.ActionRestart, m)
	tried := last != nil && !last.At.Before(since)
	spent := d.spent(api.ActionRestart, m.Index, d.p.Restarts)
	switch {
	case m.Role == api.RoleHead:
		d.restartHead(m, reason, message)
	case !tried && !spent:
		d.paced(m, reason, api.ActionRestart, message, "RKE2 is restarted", 0)
	case tried && last.Error == "" && d.w.At.Before(ended(*last).Add(d.p.AfterRestart)):
		d.report(m.Name, reason, message, "it is replaced at "+clock(ended(*last).Add(d.p.AfterRestart))+" if that did not help by then")
	default:
		d.replace(m, reason, message+"; a restart did not help")
	}
}

func (d *deciding) restartHead(m *api.Machine, reason api.DriftReason, message string) {
	if !d.spent(api.ActionRestart, m.Index, d.p.Restarts) {
		d.paced(m, reason, api.ActionRestart, message, "RKE2 is restarted", 0)
		return
	}
	d.report(m.Name, reason, message, "the cluster goes to ERROR; its workers are left alone")
	d.giveUp(m, reason, fmt.Sprintf("%s, the head: %s, and restarting it does not help. Look at it (skyctl describe cluster %s shows how to get there), "+
		"then run skyctl reconcile %s%s", m.Name, message, d.c.Metadata.Name, d.c.Metadata.Name, d.history(api.ActionRestart, m.Index)))
}

// replace gives a worker's place to a new machine. A head is never replaced.
func (d *deciding) replace(m *api.Machine, reason api.DriftReason, message string) {
	if m.Role == api.RoleHead {
		d.report(m.Name, reason, message, "nothing: a head is not replaced")
		return
	}
	d.paced(m, reason, api.ActionReplace, message, "it is replaced", d.p.Replacements)
}
