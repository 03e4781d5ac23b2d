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

	records        []*api.Machine          // those in etcd, ordered by index
	machines       map[int]*api.Machine    // the same, by index
	machinesByName map[string]*api.Machine // the same, by name
	head           *api.Machine            // nil if there is none
	identities
	// inFlight are the actions that run, by target.
	inFlight map[string]*api.Action
	// leaving says why a machine is to be removed for good.
	leaving map[*api.Machine]string
	// outdated says what differs between the machine spec of a worker and that of its pool.
	outdated map[*api.Machine]string

	drift   []api.Drift
	actions []api.Action
	stop    []api.Action
	fail    *api.Failure
	restore *api.RestoreRequest
	// fatal are the positions in drift of what sends the cluster to ERROR, or has it restored.
	fatal []int
	// nextAt is when the first of those that wait is due; zero if none waits.
	nextAt time.Time
	// unready are the workers that run but whose Node is missing or not Ready.
	unready []string
	// unsettled: a machine that accelerators depend on needs a repair.
	unsettled bool
}

func newPlanner(c *api.Cluster, observed Observation, policy Policy) *planner {
	p := &planner{cluster: c, observed: observed, policy: policy, machines: map[int]*api.Machine{},
		machinesByName: map[string]*api.Machine{}, inFlight: map[string]*api.Action{}}
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		p.machinesByName[m.Name] = m
		if m.Index < 0 || p.machines[m.Index] != nil { // ValidateCluster rejects a cluster with such a machine
			continue
		}
		p.machines[m.Index] = m
		p.records = append(p.records, m)
		if p.head == nil && isHead(m) {
			p.head = m
		}
	}
	slices.SortFunc(p.records, func(a, b *api.Machine) int { return cmp.Compare(a.Index, b.Index) })
	p.identities = identifyMachines(c.Status.Machines, observed.Listed)
	for i := range observed.InFlight {
		a := &observed.InFlight[i]
		if target := targetOf(*a); p.inFlight[target] == nil {
			p.inFlight[target] = a
		}
	}
	p.outdated = p.findOutdatedMachines()
	p.leaving = p.chooseLeavingMachines()
	return p
}

func isHead(m *api.Machine) bool { return m.Role == api.RoleHead }

func wasBroughtUp(m *api.Machine) bool { return m.WasBroughtUp() }

// isEnding says whether a machine is terminated or about to be.
func isEnding(m *api.Machine) bool {
	return m.State == api.MachineGone || m.State == api.MachineTerminating
}

// isUnlaunched says whether a machine was reserved, and the cloud has not given one yet.
func (p *planner) isUnlaunched(m *api.Machine) bool {
	return (m.State == api.MachineReserved || m.State == api.MachineLaunching) && p.listedMachine(m) == nil
}

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

// isPaused says whether a person has paused actions.
func (p *planner) isPaused() bool { return !p.cluster.Status.PausedAt.IsZero() }

func (p *planner) planReadyCluster() {
	p.planKubeconfigFile()
	p.reportSilentAPI()
	if p.observed.CloudError != "" {
		p.carryOverDrift()
		return // no action without the cloud's list
	}
	p.planKeyRestore()
	p.planExtraMachines()
	for _, m := range p.records {
		if why := p.leaving[m]; why != "" {
			p.planRemoval(m, why)
		} else {
			p.planMachine(m)
		}
	}
	p.planMissingMachines()
	p.postponeForHead()
	p.limitRepairsOfUnreadyWorkers()
	p.limitReplacements()
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

// reportDriftOf adds the drift of an action and its next step.
func (p *planner) reportDriftOf(a api.Action, next string) {
	p.reportDrift(a.Machine, a.Reason, a.Message, next)
	p.drift[len(p.drift)-1].Pool = poolOfDrift(a)
}

// poolOfDrift is the pool of a drift that concerns no single machine.
func poolOfDrift(a api.Action) string {
	if a.Machine != "" {
		return ""
	}
	return a.Pool
}

// reportFatalDrift reports a drift that sends the cluster to ERROR, or has it restored.
func (p *planner) reportFatalDrift(machine string, reason api.DriftReason, message, next string) {
	p.fatal = append(p.fatal, len(p.drift))
	p.reportDrift(machine, reason, message, next)
}

// setNextStep replaces the next step of an action's drift.
func (p *planner) setNextStep(a api.Action, next string) {
	for i, drift := range p.drift {
		if drift.Machine == a.Machine && drift.Reason == a.Reason && drift.Pool == poolOfDrift(a) {
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

// formatDueTime returns the time at which something that waits is due, as text, and keeps the first of them.
func (p *planner) formatDueTime(at time.Time) string {
	if p.nextAt.IsZero() || at.Before(p.nextAt) {
		p.nextAt = at
	}
	return formatClockTime(at)
}

// whyNothingIsDone is the next step of all drift while actions are paused, or the cluster is about to be restored;
// empty otherwise.
func (p *planner) whyNothingIsDone() string {
	switch wanted := p.cluster.Status.Restore; {
	case p.isPaused():
		return "no action: repairs are paused"
	case wanted != nil && p.cluster.Status.Phase == api.PhaseReady:
		return "no action until the cluster is restored from snapshot " + wanted.Snapshot
	}
	return ""
}

// buildDecision sorts the actions, and drops them if actions are paused, or the cluster fails or is restored.
func (p *planner) buildDecision() Decision {
	out := Decision{Drift: p.drift, Conditions: p.buildConditions(), Actions: p.actions, Stop: p.stop, Fail: p.fail,
		Restore: p.restore, NextAt: p.nextAt}
	if next := p.whyNothingIsDone(); next != "" {
		out.Actions, out.Stop, out.Fail, out.Restore, out.NextAt = nil, nil, nil, nil, time.Time{}
		for i := range out.Drift {
			out.Drift[i].Next = next
		}
	}
	if out.Fail != nil {
		out.Restore = nil
	}
	if out.Fail != nil || out.Restore != nil {
		out.Actions, out.Stop, out.NextAt = nil, nil, time.Time{}
	}
	if p.cluster.Status.Phase == api.PhaseReady {
		out.Converged = p.isConverged()
		out.Doing = p.describeProgress(out.Actions, p.isPaused() || out.Fail != nil)
		if out.Restore != nil {
			out.Doing = "restoring the server from " + out.Restore.Snapshot
		}
	}
	slices.SortStableFunc(out.Actions, func(a, b api.Action) int {
		return cmp.Or(actionRank(a.Kind)-actionRank(b.Kind), cmp.Compare(a.Index, b.Index),
			cmp.Compare(a.Machine, b.Machine))
	})
	return out
}
