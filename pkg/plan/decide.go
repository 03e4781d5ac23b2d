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
func Decide(c *api.Cluster, observed Observation, policy Policy) Decision {
	p := newPlanner(c, observed, policy)
	switch c.Status.Phase {
	case api.PhaseReady:
		p.planReadyCluster()
	case api.PhaseError:
		p.planLeftoverMachines()
	}
	return p.buildDecision()
}

// planner is a decision in the making.
type planner struct {
	cluster  *api.Cluster
	observed Observation
	policy   Policy

	machines       map[int]*api.Machine    // the records in etcd, by index
	machinesByName map[string]*api.Machine // the same, by name
	identities

	drift   []api.Drift
	actions []api.Action
	fail    *api.Failure
	// unready are the workers that run and whose Node is not Ready or missing.
	unready []string
	// unsettled: some place is not as it should be, so that what runs on top of all of them can't be either.
	unsettled bool
}

func newPlanner(c *api.Cluster, observed Observation, policy Policy) *planner {
	p := &planner{cluster: c, observed: observed, policy: policy, machines: map[int]*api.Machine{},
		machinesByName: map[string]*api.Machine{}}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		if p.machines[m.Index] == nil {
			p.machines[m.Index] = m
		}
		p.machinesByName[m.Name] = m
	}
	p.identities = identifyMachines(c.Status.Machines, observed.Listed)
	return p
}

// wantedMachineCount are the places that the cluster should have, within what a cluster may have.
func wantedMachineCount(c *api.Cluster) int { return min(max(c.Spec.NumNodes, 0), api.MaxNumNodes) }

func isHead(m *api.Machine) bool { return m.Index == 0 || m.Role == api.RoleHead }

// listedMachine is the machine of a record in the cloud's listing; nil where it is not there.
func (p *planner) listedMachine(m *api.Machine) *ListedMachine {
	return p.found[m]
}

// isAPISilent says that nothing is known of Nodes.
func (p *planner) isAPISilent() bool { return p.observed.APIError != "" }

// isNodeReady says that Kubernetes itself answers for a machine.
func (p *planner) isNodeReady(m *api.Machine) bool {
	return !p.isAPISilent() && p.observed.Nodes[m.NodeName].Ready
}

func (p *planner) planReadyCluster() {
	p.planKubeconfigFile()
	p.reportSilentAPI()
	if p.observed.CloudError != "" {
		p.carryOverDrift()
		return // what can't be seen is not touched
	}
	p.planKeyRestore()
	p.planExtraMachines()
	for i := range wantedMachineCount(p.cluster) {
		if m := p.machines[i]; m != nil { // Valid refuses a cluster without
			p.planMachine(m)
		}
	}
	p.postponeForHead()
	p.limitParallelRepairs()
	p.terminatePredecessors()
	if !p.isAPISilent() {
		p.planStrayNodes()
		p.planCredentialRefresh()
		p.planGPUStack()
	} else if p.haveCredentialsExpired() {
		p.planCredentialRefresh()
	}
	p.postponeForLostKeys()
}

const untilAsked = "nothing, while the cloud can't be asked"

// carryOverDrift keeps what was seen of machines before the cloud fell silent, and since when, where nothing speaks
// against it: that it does not answer once in a while is no reason to be patient anew.
func (p *planner) carryOverDrift() {
	for _, old := range p.cluster.Status.Drift {
		m := p.machinesByName[old.Machine]
		switch {
		case m == nil, p.isNodeReady(m), old.Since.Before(m.ReservedAt): // of another machine in its place
		case (old.Reason == api.DriftHeadLost || old.Reason == api.DriftAPISilent) && !p.isAPISilent():
		default:
			p.reportDrift(old.Machine, old.Reason, cmp.Or(old.Message, "it was so when the cloud could last be asked"),
				untilAsked)
		}
	}
}

// reportDrift notes a drift, and what comes next about it.
func (p *planner) reportDrift(machine string, reason api.DriftReason, message, next string) {
	p.drift = append(p.drift, api.Drift{Machine: machine, Reason: reason, Message: message, Next: next})
}

// setNextStep says of a drift that was reported what comes next after all.
func (p *planner) setNextStep(machine string, reason api.DriftReason, next string) {
	for i := range p.drift {
		if p.drift[i].Machine == machine && p.drift[i].Reason == reason {
			p.drift[i].Next = next
		}
	}
}

// driftSince is when a drift of any of these kinds was first seen, in a row until now; now where none was seen before.
func (p *planner) driftSince(machine string, reasons ...api.DriftReason) time.Time {
	first := p.observed.At
	for _, old := range p.cluster.Status.Drift {
		if old.Machine == machine && slices.Contains(reasons, old.Reason) && !old.Since.IsZero() &&
			old.Since.Before(first) {
			first = old.Since
		}
	}
	return first
}

// buildDecision puts everything in order.
func (p *planner) buildDecision() Decision {
	out := Decision{Drift: p.drift, Conditions: p.buildConditions(), Actions: p.actions, Fail: p.fail}
	if !p.cluster.Status.PausedAt.IsZero() {
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
