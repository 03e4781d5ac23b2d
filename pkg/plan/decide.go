package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Decide plans a cluster that is READY or in ERROR. In any other phase an operation is running, or the caller has to
// start one. To repair a cluster in ERROR that was READY before (api.ClusterStatus.WasReady), pass a copy with phase
// READY; leave out Repairs if earlier attempts shall not count.
//
// The cluster should pass ValidateCluster. For one that does not, Decide only guarantees that it returns and never
// removes a head.
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

// planner builds a Decision.
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
	// fatal are the positions in drift of what sends the cluster to ERROR.
	fatal []int
	// unready are the workers that run but whose Node is missing or not Ready.
	unready []string
	// unsettled: a machine needs a repair, so what runs on all machines cannot work yet.
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

// wantedMachineCount is the number of machines in the spec, within the bounds of a cluster.
func wantedMachineCount(c *api.Cluster) int {
	return min(max(c.Spec.MachineCount(), 0), api.MaxNumNodes)
}

func isHead(m *api.Machine) bool { return m.Index == 0 || m.Role == api.RoleHead }

// listedMachine returns the entry of a recorded machine in the cloud's list; nil if it is not listed.
func (p *planner) listedMachine(m *api.Machine) *ListedMachine {
	return p.found[m]
}

// isAPISilent says whether the Kubernetes API did not answer, so that the state of Nodes is unknown.
func (p *planner) isAPISilent() bool { return p.observed.APIError != "" }

// isNodeReady says whether the Kubernetes API answered that a machine's Node is Ready.
func (p *planner) isNodeReady(m *api.Machine) bool {
	return !p.isAPISilent() && p.observed.Nodes[m.NodeName].Ready
}

func (p *planner) planReadyCluster() {
	p.planKubeconfigFile()
	p.reportSilentAPI()
	if p.observed.CloudError != "" {
		p.carryOverDrift()
		return // no action without the cloud's list
	}
	p.planKeyRestore()
	p.planExtraMachines()
	for i := range wantedMachineCount(p.cluster) {
		if m := p.machines[i]; m != nil { // ValidateCluster rejects a cluster without
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

// Next steps that several kinds of drift share.
const (
	untilCloudAnswers = "no action until the cloud can be reached"
	listOutdated      = "no action: the cloud's list may be out of date"
	checkedOverSSH    = "it is checked over SSH"
)

// carryOverDrift keeps the drift of machines that was observed before the cloud stopped answering, unless it is
// disproved. So a cloud that fails now and then does not restart the waiting times.
func (p *planner) carryOverDrift() {
	for _, old := range p.cluster.Status.Drift {
		m := p.machinesByName[old.Machine]
		switch {
		case m == nil, p.isNodeReady(m), old.Since.Before(m.ReservedAt): // of an earlier machine
		case (old.Reason == api.DriftHeadLost || old.Reason == api.DriftAPISilent) && !p.isAPISilent():
		default:
			p.reportDrift(old.Machine, old.Reason, cmp.Or(old.Message, "this was so when the cloud last answered"),
				untilCloudAnswers)
		}
	}
}

// reportDrift adds a drift and its next step.
func (p *planner) reportDrift(machine string, reason api.DriftReason, message, next string) {
	p.drift = append(p.drift, api.Drift{Machine: machine, Reason: reason, Message: message, Next: next})
}

// reportFatalDrift reports a drift that sends the cluster to ERROR.
func (p *planner) reportFatalDrift(machine string, reason api.DriftReason, message, next string) {
	p.fatal = append(p.fatal, len(p.drift))
	p.reportDrift(machine, reason, message, next)
}

// setNextStep replaces the next step of a drift.
func (p *planner) setNextStep(machine string, reason api.DriftReason, next string) {
	for i := range p.drift {
		if p.drift[i].Machine == machine && p.drift[i].Reason == reason {
			p.drift[i].Next = next
		}
	}
}

// driftSince returns since when every sweep has seen a drift of one of these kinds; now if the last one saw none.
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

// buildDecision sorts the actions, and drops them if repairs are paused or the cluster fails.
func (p *planner) buildDecision() Decision {
	out := Decision{Drift: p.drift, Conditions: p.buildConditions(), Actions: p.actions, Fail: p.fail}
	if !p.cluster.Status.PausedAt.IsZero() {
		out.Actions, out.Fail = nil, nil
		for i := range out.Drift {
			out.Drift[i].Next = "no action: repairs are paused"
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
