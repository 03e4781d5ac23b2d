package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Decide says what is to be done about a cluster that is READY or in ERROR; in any other phase an operation works on
// it, or is to be started, which is for the caller. Who wants a cluster in ERROR mended that was READY before
// (api.ClusterStatus.WasReady) passes a copy with phase READY, and without Repairs where what was tried before is not
// to count.
//
// The cluster should be Valid; of one that is not, Decide only promises to end, and to remove no head.
func Decide(c *api.Cluster, w Observation, p Policy) Decision {
	d := newPlanner(c, w, p)
	switch c.Status.Phase {
	case api.PhaseReady:
		d.planReadyCluster()
	case api.PhaseError:
		d.planLeftoverMachines()
	}
	return d.buildDecision()
}

// planner is a decision in the making.
type planner struct {
	c *api.Cluster
	w Observation
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

func newPlanner(c *api.Cluster, w Observation, p Policy) *planner {
	d := &planner{c: c, w: w, p: p, places: map[int]*api.Machine{}, names: map[string]*api.Machine{}}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		if d.places[m.Index] == nil {
			d.places[m.Index] = m
		}
		d.names[m.Name] = m
	}
	d.identities = identifyMachines(c.Status.Machines, w.Listed)
	return d
}

// wantedMachineCount are the places that the cluster should have, within what a cluster may have.
func wantedMachineCount(c *api.Cluster) int { return min(max(c.Spec.NumNodes, 0), api.MaxNumNodes) }

func isHead(m *api.Machine) bool { return m.Index == 0 || m.Role == api.RoleHead }

// listedMachine is the machine of a record in the cloud's listing; nil where it is not there.
func (d *planner) listedMachine(m *api.Machine) *ListedMachine {
	return d.found[m]
}

// isAPISilent says that nothing is known of Nodes.
func (d *planner) isAPISilent() bool { return d.w.APIError != "" }

// isNodeReady says that Kubernetes itself answers for a machine.
func (d *planner) isNodeReady(m *api.Machine) bool {
	return !d.isAPISilent() && d.w.Nodes[m.NodeName].Ready
}

func (d *planner) planReadyCluster() {
	d.planKubeconfigFile()
	d.reportSilentAPI()
	if d.w.CloudError != "" {
		d.carryOverDrift()
		return // what can't be seen is not touched
	}
	d.planKeyRestore()
	d.planExtraMachines()
	for i := range wantedMachineCount(d.c) {
		if m := d.places[i]; m != nil { // Valid refuses a cluster without
			d.planMachine(m)
		}
	}
	d.postponeForHead()
	d.limitParallelRepairs()
	d.terminatePredecessors()
	if !d.isAPISilent() {
		d.planStrayNodes()
		d.planCredentialRefresh()
		d.planGPUStack()
	} else if d.haveCredentialsExpired() {
		d.planCredentialRefresh()
	}
	d.postponeForLostKeys()
}

const untilAsked = "nothing, while the cloud can't be asked"

// carryOverDrift keeps what was seen of machines before the cloud fell silent, and since when, where nothing speaks
// against it: that it does not answer once in a while is no reason to be patient anew.
func (d *planner) carryOverDrift() {
	for _, old := range d.c.Status.Drift {
		m := d.names[old.Machine]
		switch {
		case m == nil, d.isNodeReady(m), old.Since.Before(m.ReservedAt): // of another machine in its place
		case (old.Reason == api.DriftHeadLost || old.Reason == api.DriftAPISilent) && !d.isAPISilent():
		default:
			d.reportDrift(old.Machine, old.Reason, cmp.Or(old.Message, "it was so when the cloud could last be asked"),
				untilAsked)
		}
	}
}

// reportDrift notes a drift, and what comes next about it.
func (d *planner) reportDrift(machine string, reason api.DriftReason, message, next string) {
	d.drift = append(d.drift, api.Drift{Machine: machine, Reason: reason, Message: message, Next: next})
}

// setNextStep says of a drift that was reported what comes next after all.
func (d *planner) setNextStep(machine string, reason api.DriftReason, next string) {
	for i := range d.drift {
		if d.drift[i].Machine == machine && d.drift[i].Reason == reason {
			d.drift[i].Next = next
		}
	}
}

// driftSince is when a drift of any of these kinds was first seen, in a row until now; now where none was seen before.
func (d *planner) driftSince(machine string, reasons ...api.DriftReason) time.Time {
	first := d.w.At
	for _, old := range d.c.Status.Drift {
		if old.Machine == machine && slices.Contains(reasons, old.Reason) && !old.Since.IsZero() &&
			old.Since.Before(first) {
			first = old.Since
		}
	}
	return first
}

// buildDecision puts everything in order.
func (d *planner) buildDecision() Decision {
	out := Decision{Drift: d.drift, Conditions: d.buildConditions(), Actions: d.actions, Fail: d.fail}
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
		return cmp.Or(actionRank(a.Kind)-actionRank(b.Kind), cmp.Compare(a.Index, b.Index),
			cmp.Compare(a.Machine, b.Machine))
	})
	return out
}

// actionOrder is the one in which actions are carried out.
var actionOrder = []api.ActionKind{
	api.ActionTerminate, api.ActionForgetNode, api.ActionRecordAddress, api.ActionRestoreKeys, api.ActionStartMachine,
	api.ActionReconfigure,
	api.ActionRestart, api.ActionReplace, api.ActionBringUp,
	api.ActionDisarm, api.ActionRefresh, api.ActionWriteKubeconfig, api.ActionGPU,
}

func actionRank(k api.ActionKind) int { return slices.Index(actionOrder, k) }
