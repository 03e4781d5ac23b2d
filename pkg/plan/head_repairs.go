package plan

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

const endsInError = "the cluster goes to ERROR; its workers are left alone"

// planUnlistedHead is a head that the cloud does not list. It is lost only where it does not answer either.
func (p *planner) planUnlistedHead(m *api.Machine, message string) {
	unit, looked := p.observed.Units[m.Index]
	at := p.driftSince(m.Name, api.DriftHeadLost).Add(p.policy.NotReadyFor)
	switch {
	case !p.isAPISilent() || unit.Reached:
		p.reportDrift(m.Name, api.DriftMachineGone, message+", though it answers", "nothing: the listing may be behind")
	case !looked:
		p.reportDrift(m.Name, api.DriftHeadLost, message, "it is looked at")
	case p.observed.At.Before(at):
		p.reportDrift(m.Name, api.DriftHeadLost, message, "the cluster goes to ERROR at "+formatClockTime(at)+
			" if it is not back by then")
	default:
		p.failForLostHead(m, message)
	}
}

// failForLostHead is a head that is gone, and with it the cluster's state. Its workers are of no use without it, but
// they may hold somebody's data: what becomes of them is for a person to say.
func (p *planner) failForLostHead(m *api.Machine, why string) {
	p.reportDrift(m.Name, api.DriftHeadLost, why, endsInError)
	p.failCluster(m, api.DriftHeadLost, fmt.Sprintf(
		"%s, the head, is lost (%s), and with it the cluster's state. The workers were left alone, and go on "+
			"billing: save what they hold and delete the cluster, or run the same create again, which terminates them "+
			"and builds the cluster anew", m.Name, why))
}

// planSilentHead is a head that runs, by the cloud's listing, and whose API does not answer. Its server is restarted
// only where the machine itself says that it is not well: what does not answer here may be this end of the line.
func (p *planner) planSilentHead(m *api.Machine) {
	unit, looked := p.observed.Units[m.Index]
	message := "RKE2 is " + unit.Active + ", and its API is not ready on the machine itself: " + unit.Why
	at := p.driftSince("", api.DriftAPISilent).Add(p.policy.NotReadyFor)
	switch {
	case !looked:
		p.reportDrift(m.Name, api.DriftAPISilent, "its API does not answer", "it is looked at")
	case p.isAPIUnreachable(): // which was reported of the cluster
	case !unit.Reached:
		// That may be this end of the line, and heals by itself then: no reason to give up.
		p.reportDrift(m.Name, api.DriftAPISilent, "neither its API nor its SSH answers: "+unit.Error,
			"nothing, from here: the cloud says that it runs; look at it there, and restart it if it hangs")
	case isUnitDead(unit):
		p.restartHead(m, api.DriftUnitDead, "RKE2 is "+unit.Active)
	case unit.Health == Healthy:
		p.reportDrift(m.Name, api.DriftAPISilent,
			"its API is ready, and rejects the credentials that are stored, which have ended", "they are fetched anew")
	case unit.Health != Unhealthy:
		p.reportDrift(m.Name, api.DriftAPISilent, "RKE2 is "+unit.Active+
			", and the machine can't say whether its API is well: "+unit.Why,
			"RKE2 is left alone: look at it on the machine, and restart it there if it hangs")
	case p.observed.At.Before(at):
		p.reportDrift(m.Name, api.DriftAPISilent, message, "RKE2 is restarted at "+formatClockTime(at)+
			" if it is not ready by then")
	default:
		p.restartHead(m, api.DriftAPISilent, message)
	}
}

// restartHead restarts RKE2 on the head, again and again with longer pauses, until it is clear that this does not help.
func (p *planner) restartHead(m *api.Machine, reason api.DriftReason, message string) {
	restart := newMachineAction(m, api.ActionRestart, reason, message)
	if !p.isRepairLimitReached(restart, p.policy.Restarts) {
		p.requestAction(restart, "RKE2 is restarted")
		return
	}
	p.reportDrift(m.Name, reason, message, endsInError)
	p.failCluster(m, reason, fmt.Sprintf("%s, the head: %s, and restarting it does not help. The workers were left "+
		"alone. Look at it "+
		"(skyctl describe cluster %s shows how to get there), then run skyctl reconcile %s", m.Name, message,
		p.cluster.Metadata.Name, p.cluster.Metadata.Name))
}
