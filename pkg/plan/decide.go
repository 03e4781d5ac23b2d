package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Decide says what is to be done about a cluster that is READY or in ERROR; in any other phase an operation works on it, or is
// to be started, which is for the caller. Who wants a cluster in ERROR mended that was READY before (api.ClusterStatus.WasReady)
// passes a copy with phase READY, and without Repairs where what was tried before is not to count.
//
// The cluster should be Valid; of one that is not, Decide only promises to end, and to remove no head.
func Decide(c *api.Cluster, w World, p Policy) Decision {
	d := newDeciding(c, w, p)
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

	places map[int]*api.Machine    // what etcd has of each place
	names  map[string]*api.Machine // the same by the machines' names
	identities

	drift   []api.Drift
	actions []api.Action
	fail    *api.Failure
	// unready are the workers that run and whose Node is not Ready or missing.
	unready []string
	// unsettled: some place is not as it should be, so that what runs on top of all of them can't be either.
	unsettled bool
}

func newDeciding(c *api.Cluster, w World, p Policy) *deciding {
	d := &deciding{c: c, w: w, p: p, places: map[int]*api.Machine{}, names: map[string]*api.Machine{}}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		if d.places[m.Index] == nil {
			d.places[m.Index] = m
		}
		d.names[m.Name] = m
	}
	d.identities = identify(c.Status.Machines, w.Listed)
	return d
}

// numPlaces are the places that the cluster should have, within what a cluster may have.
func numPlaces(c *api.Cluster) int { return min(max(c.Spec.NumNodes, 0), api.MaxNumNodes) }

func isHead(m *api.Machine) bool { return m.Index == 0 || m.Role == api.RoleHead }

// listed is the machine of a record in the cloud's listing; nil where it is not there.
func (d *deciding) listed(m *api.Machine) *Listed {
	return d.found[m]
}

// silentAPI says that nothing is known of Nodes.
func (d *deciding) silentAPI() bool { return d.w.APIError != "" }

// nodeReady says that Kubernetes itself answers for a machine.
func (d *deciding) nodeReady(m *api.Machine) bool {
	return !d.silentAPI() && d.w.Nodes[m.NodeName].Ready
}

func (d *deciding) ready() {
	d.kubeconfig()
	d.aboutAPI()
	if d.w.CloudError != "" {
		d.remember()
		return // what can't be seen is not touched
	}
	d.lostKeys()
	d.extras()
	for i := range numPlaces(d.c) {
		if m := d.places[i]; m != nil { // Valid refuses a cluster without
			d.place(m)
		}
	}
	d.headFirst()
	d.fewAtOnce()
	d.predecessors()
	if !d.silentAPI() {
		d.strayNodes()
		d.credentials()
		d.gpu()
	} else if d.credentialsEnded() {
		d.credentials()
	}
	d.keysFirst()
}

const untilAsked = "nothing, while the cloud can't be asked"

// remember keeps what was seen of machines before the cloud fell silent, and since when, where nothing speaks against it: that it
// does not answer once in a while is no reason to be patient anew.
func (d *deciding) remember() {
	for _, old := range d.c.Status.Drift {
		m := d.names[old.Machine]
		switch {
		case m == nil, d.nodeReady(m), old.Since.Before(m.ReservedAt): // of another machine in its place
		case (old.Reason == api.DriftHeadLost || old.Reason == api.DriftAPISilent) && !d.silentAPI():
		default:
			d.report(old.Machine, old.Reason, cmp.Or(old.Message, "it was so when the cloud could last be asked"), untilAsked)
		}
	}
}

// report notes a drift, and what comes next about it.
func (d *deciding) report(machine string, reason api.DriftReason, message, next string) {
	d.drift = append(d.drift, api.Drift{Machine: machine, Reason: reason, Message: message, Next: next})
}

// next says of a drift that was reported what comes next after all.
func (d *deciding) next(machine string, reason api.DriftReason, next string) {
	for i := range d.drift {
		if d.drift[i].Machine == machine && d.drift[i].Reason == reason {
			d.drift[i].Next = next
		}
	}
}

// since is when a drift of any of these kinds was first seen, in a row until now; now where none was seen before.
func (d *deciding) since(machine string, reasons ...api.DriftReason) time.Time {
	first := d.w.At
	for _, old := range d.c.Status.Drift {
		if old.Machine == machine && slices.Contains(reasons, old.Reason) && !old.Since.IsZero() && old.Since.Before(first) {
			first = old.Since
		}
	}
	return first
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
	slices.SortStableFunc(out.Actions, func(a, b api.Action) int {
		return cmp.Or(rank(a.Kind)-rank(b.Kind), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Machine, b.Machine))
	})
	return out
}

// order is the one in which actions are carried out.
var order = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionRecordAddress, api.ActionRestoreKeys, api.ActionStartMachine, api.ActionReconfigure,
	api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	api.ActionDisarm, api.ActionRefresh, api.ActionWriteKubeconfig, api.ActionGPU,
}

func rank(k api.ActionKind) int { return slices.Index(order, k) }
