package plan

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

const endsInError = "the cluster goes to ERROR; its workers are kept"

// planSilentHead plans for a head that the cloud lists as running and whose API does not answer. Its server is
// restarted only if the machine itself reports it unhealthy, because the fault may be in skyd's own network.
func (p *planner) planSilentHead(m *api.Machine) {
	unit, checked := p.observed.Units[m.Index]
	message := "RKE2 is " + unit.Active + ", but its API is not ready on the machine itself: " + unit.Why
	at := p.driftSince("", api.DriftAPISilent).Add(p.policy.NotReadyFor)
	switch {
	case !checked:
		p.reportDrift(m.Name, api.DriftAPISilent, "its API does not answer", checkedOverSSH)
	case p.isAPIUnreachable(): // reported for the cluster
	case !unit.Reached:
		// The fault may be in skyd's own network and end by itself, so the cluster does not fail.
		p.reportDrift(m.Name, api.DriftAPISilent, "neither its API nor SSH answers: "+unit.Error,
			"no action: the cloud says that it runs. Check it there, and restart it if it hangs")
	case isUnitDead(unit):
		p.restartHead(m, api.DriftUnitDead, "RKE2 is "+unit.Active)
	case unit.Health == Healthy:
		p.reportDrift(m.Name, api.DriftAPISilent,
			"its API is ready, but rejects the stored credentials, which have expired", "they are renewed")
	case unit.Health != Unhealthy:
		p.reportDrift(m.Name, api.DriftAPISilent, "RKE2 is "+unit.Active+
			", and the machine cannot tell whether its API is healthy: "+unit.Why,
			"no action: check RKE2 on the machine, and restart it there if it hangs")
	case p.observed.At.Before(at):
		p.reportDrift(m.Name, api.DriftAPISilent, message, "RKE2 is restarted at "+p.formatDueTime(at)+
			" if it is not ready by then")
	default:
		p.restartHead(m, api.DriftAPISilent, message)
	}
}

// restartHead restarts RKE2 on the head, with growing pauses, until the limit of restarts is reached.
func (p *planner) restartHead(m *api.Machine, reason api.DriftReason, message string) {
	restart := newMachineAction(m, api.ActionRestart, reason, message)
	if !p.isRepairLimitReached(restart, p.policy.Restarts) {
		p.requestAction(restart, "RKE2 is restarted")
		return
	}
	p.reportFatalDrift(m.Name, reason, message, endsInError)
	p.failCluster(m, reason, fmt.Sprintf("%s, the head: %s, and restarts do not help. The workers are kept. "+
		"Log in to the head (skyctl describe cluster %s shows how) and fix it, then run skyctl reconcile %s", m.Name,
		message,
		p.cluster.Metadata.Name, p.cluster.Metadata.Name))
}
