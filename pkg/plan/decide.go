package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Decide says what is to be done about a cluster that is READY or in ERROR; in any other phase an operation works on it, or is
// to be started, which is for the caller. Who wants a cluster in ERROR mended that was READY before passes a copy that is.
func Decide(c *api.Cluster, w World, p Policy) Decision {
	d := &deciding{c: c, w: w, p: p}
	switch c.Status.Phase {
	case api.PhaseReady:
		d.ready()
	case api.PhaseError:
		d.leftovers()
	}
	return d.decision()
}

// deciding is a decision in the making.
type deciding struct {
	c *api.Cluster
	w World
	p Policy

	drift   []api.Drift
	actions []api.Action
	fail    *api.Failure
	// unready are the places whose Node is not Ready.
	unready []string
}

// report notes a drift, and what comes next about it.
func (d *deciding) report(machine string, reason api.DriftReason, message, next string) {
	d.drift = append(d.drift, api.Drift{Machine: machine, Reason: reason, Message: message, Next: next})
}

// since is when a drift was first seen; now where it was not seen before.
func (d *deciding) since(machine string, reason api.DriftReason) time.Time {
	for _, old := range d.c.Status.Drift {
		if old.Machine == machine && old.Reason == reason && !old.Since.IsZero() {
			return old.Since
		}
	}
	return d.w.At
}

func (d *deciding) ready() {
	if d.w.KubeconfigMissing {
		d.whole(api.DriftKubeconfigFile, api.ActionWriteKubeconfig, "the kubeconfig file is not there", "it is written again")
	}
	if d.w.APIError != "" {
		d.report("", api.DriftAPISilent, "the Kubernetes API does not answer: "+d.w.APIError, "the head is looked at")
	}
	if d.w.CloudError != "" {
		return // what can't be seen is not touched
	}
	d.extras()
	for i := range d.c.Spec.NumNodes {
		d.place(i)
	}
	d.oneAtATime()
	if d.w.APIError == "" {
		d.strayNodes()
		d.credentials()
		if d.w.GPU != "" {
			d.paced(d.head(), api.DriftGPU, api.ActionGPU, d.w.GPU, "the GPU stack is applied again", 0)
		}
	}
}

// whole asks for something to be done to the cluster as a whole.
func (d *deciding) whole(reason api.DriftReason, kind api.ActionKind, message, next string) {
	d.report("", reason, message, next)
	d.actions = append(d.actions, api.Action{Kind: kind, Reason: reason, Message: message})
}

// record is what etcd has of a place; nil where it has nothing.
func (d *deciding) record(index int) *api.Machine {
	for i := range d.c.Status.Machines {
		if d.c.Status.Machines[i].Index == index {
			return &d.c.Status.Machines[i]
		}
	}
	return nil
}

func (d *deciding) head() *api.Machine { return d.record(0) }

// listed is the machine of a record in the cloud's listing; nil where it is not there.
func (d *deciding) listed(m *api.Machine) *Listed {
	for i, l := range d.w.Listed {
		if l.Name == m.Name && l.Incarnation == m.Incarnation {
			return &d.w.Listed[i]
		}
	}
	return nil
}

// extras are machines of the cluster that have no place in it.
func (d *deciding) extras() {
	for _, l := range d.w.Listed {
		if m := d.record(l.Index); m != nil && m.Name == l.Name && m.Incarnation == l.Incarnation && l.Index < d.c.Spec.NumNodes {
			continue
		}
		d.terminate(l, api.DriftMachineExtra, "it carries the cluster's labels and has no place in it")
	}
}

// leftovers are machines of a cluster in ERROR that should be gone. What was kept on purpose is not among them.
func (d *deciding) leftovers() {
	if d.w.CloudError != "" || d.c.Status.KeepOnFailure {
		return
	}
	for _, l := range d.w.Listed {
		m := d.record(l.Index)
		kept := m != nil && m.Name == l.Name && m.Incarnation == l.Incarnation && m.State.MayExist() && m.State != api.MachineTerminating
		if !kept {
			d.terminate(l, api.DriftLeftover, "it was to be terminated, and is still there")
		}
	}
}

func (d *deciding) terminate(l Listed, reason api.DriftReason, message string) {
	next := "it is terminated"
	if wait, at := d.pace(api.ActionTerminate, l.Index); wait {
		next = "it is terminated at " + clock(at)
	} else {
		d.actions = append(d.actions, api.Action{
			Kind: api.ActionTerminate, Index: l.Index, Machine: l.Name, Incarnation: l.Incarnation, Reason: reason, Message: message,
		})
	}
	d.report(l.Name, reason, message, next)
}

// strayNodes are Nodes of machines that are no more.
func (d *deciding) strayNodes() {
	own := map[string]bool{}
	for _, m := range d.c.Status.Machines {
		own[m.NodeName] = true
	}
	for _, name := range sortedNames(d.w.Nodes) {
		if own[name] || !strings.HasPrefix(name, "sky-"+d.c.Metadata.Name+"-") {
			continue
		}
		if d.w.Nodes[name].Ready {
			d.report(name, api.DriftNodeExtra, "a Node that is Ready belongs to no machine of the cluster", "only reported")
			continue
		}
		const message = "its machine is no more"
		d.report(name, api.DriftNodeExtra, message, "it is forgotten")
		d.actions = append(d.actions, api.Action{Kind: api.ActionForgetNode, Index: -1, Machine: name, Node: name, Reason: api.DriftNodeExtra, Message: message})
	}
}

func (d *deciding) credentials() {
	left := d.w.CredentialsExpire.Sub(d.w.At)
	if d.w.CredentialsExpire.IsZero() || left > d.p.ExpiresWithin || d.head() == nil {
		return
	}
	message := fmt.Sprintf("the kubeconfig's certificate ends at %s", d.w.CredentialsExpire.UTC().Format(time.RFC3339))
	d.paced(d.head(), api.DriftCredentialsAge, api.ActionRefresh, message, "they are fetched anew", 0)
}

// oneAtATime leaves but one of the workers that still exist to be replaced, and none where most of them are not Ready: then
// it is hardly they that are broken.
func (d *deciding) oneAtATime() {
	workers := d.c.Spec.NumNodes - 1
	suspicious := workers > 2 && 2*len(d.unready) > workers
	replaced := false
	d.actions = slices.DeleteFunc(d.actions, func(a api.Action) bool {
		if a.Kind != api.ActionReplace || a.Reason == api.DriftMachineGone || a.Reason == api.DriftMachineUnready {
			return false
		}
		drop := suspicious || replaced
		replaced = true
		if drop {
			d.postpone(a, suspicious)
		}
		return drop
	})
}

func (d *deciding) postpone(a api.Action, suspicious bool) {
	next := "it is replaced once another one has been"
	if suspicious {
		next = "most workers are not Ready, so none is replaced: look at the head and at the network"
	}
	for i := range d.drift {
		if d.drift[i].Machine == a.Machine && d.drift[i].Reason == a.Reason {
			d.drift[i].Next = next
		}
	}
}

// decision puts everything in order.
func (d *deciding) decision() Decision {
	out := Decision{Drift: d.drift, Conditions: d.conditions(), Actions: d.actions, Fail: d.fail}
	if !d.c.Status.PausedAt.IsZero() {
		out.Actions, out.Fail = nil, nil
		for i := range out.Drift {
			out.Drift[i].Next = "nothing, while repairs are paused"
		}
	}
	if out.Fail != nil {
		out.Actions = nil
	}
	slices.SortStableFunc(out.Actions, func(a, b api.Action) int { return rank(a.Kind) - rank(b.Kind) })
	return out
}

// order is the one in which actions are carried out.
var order = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionStartMachine, api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	api.ActionRefresh, api.ActionWriteKubeconfig, api.ActionGPU,
}

func rank(k api.ActionKind) int { return slices.Index(order, k) }

func sortedNames(nodes map[string]Node) []string {
	names := make([]string, 0, len(nodes))
	for n := range nodes {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
