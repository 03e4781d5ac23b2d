package plan

import (
	"github.com/sky-shift/skyctl/pkg/api"
)

// findOutdatedMachines returns the workers whose machine spec differs from that of their pool, and in what.
func (p *planner) findOutdatedMachines() map[*api.Machine]string {
	outdated := map[*api.Machine]string{}
	for _, m := range p.records {
		if why := p.cluster.Spec.DescribeOutdated(*m); why != "" && !isHead(m) {
			outdated[m] = why
		}
	}
	return outdated
}

// planUpdate plans for a machine that works, and whose machine spec or Node settings are not those that are wanted. The
// Node comes first, because that takes seconds, and the replacements of a pool hours. If it failed, it does not hold up
// the replacement.
func (p *planner) planUpdate(m *api.Machine, n Node) {
	why, outdated := p.cluster.DescribeNodeChange(*m), p.outdated[m]
	if why == "" && n.Labels != nil {
		why = p.cluster.NodeSettings(*m).DescribeMissing(n.Labels, n.Taints)
	}
	update := newMachineAction(m, api.ActionUpdateNode, api.DriftNodeOutdated, why)
	if why != "" {
		p.requestAction(update, "its Node is updated")
	}
	switch {
	case outdated == "":
	case why != "" && !p.observed.At.Before(p.earliestRetry(update)):
		p.reportDrift(m.Name, api.DriftMachineOutdated, outdated, "it is replaced after its Node is updated")
	default:
		p.planWantedReplacement(m, api.DriftMachineOutdated, outdated)
	}
}

// isUpdate says whether a drift is that of a machine that works, and is to be another one or get other labels.
func (p *planner) isUpdate(m *api.Machine, reason api.DriftReason) bool {
	return p.isNodeReady(m) && m.State == api.MachineReady && !p.runs(api.ActionReplace, m) &&
		(reason == api.DriftMachineOutdated || reason == api.DriftNodeOutdated)
}

// stopUnwantedReplacement stops the replacement of an outdated machine that still works once its pool has the machine's
// spec again.
func (p *planner) stopUnwantedReplacement(m *api.Machine, running *api.Action) {
	if running.Kind == api.ActionReplace && running.Reason == api.DriftMachineOutdated && p.outdated[m] == "" &&
		!m.ReplaceAsked && m.State == api.MachineReady && running.Incarnation == m.Incarnation {
		p.stopRunning(running)
	}
}
