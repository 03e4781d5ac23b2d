package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// reportSilentAPI reports that the Kubernetes API does not answer, and the probable cause.
func (p *planner) reportSilentAPI() {
	switch {
	case !p.isAPISilent():
	case p.observed.CloudError != "":
		p.reportDrift("", api.DriftAPISilent, "the Kubernetes API does not answer", untilCloudAnswers)
	case p.isAPIUnreachable():
		p.reportDrift("", api.DriftAPIUnreachable, p.describeUnreachableAPI(),
			"no restart: the server is healthy. Check the network path from skyd to "+p.apiEndpoint()+
				": a firewall, the cloud's security group, a VPN, or a changed address")
	default:
		p.reportDrift("", api.DriftAPISilent, "the Kubernetes API does not answer",
			"the head is checked; no action on workers until it answers")
	}
}

// isAPIUnreachable says whether the Kubernetes API does not answer skyd although it is ready on the head itself. Then
// the network path is broken, and a restart would not help.
func (p *planner) isAPIUnreachable() bool {
	if !p.isAPISilent() || p.observed.CloudError != "" || p.haveCredentialsExpired() {
		return false
	}
	if p.head == nil {
		return false
	}
	unit := p.observed.Units[p.head.Index]
	return unit.Reached && unit.Health == Healthy && !isUnitDead(unit)
}

func (p *planner) describeUnreachableAPI() string {
	return "the Kubernetes API is ready on the head itself, but does not answer skyd: " + p.observed.APIError
}

// apiEndpoint returns the address of the Kubernetes API, as far as it is known.
func (p *planner) apiEndpoint() string {
	if p.cluster.Status.Endpoint != "" {
		return strings.TrimPrefix(p.cluster.Status.Endpoint, "https://")
	}
	if p.head != nil && p.head.Address != "" {
		return "port 6443 of " + p.head.Address
	}
	return "the head"
}

// haveCredentialsExpired says whether the API rejects the stored credentials. They are renewed over SSH.
func (p *planner) haveCredentialsExpired() bool {
	return !p.observed.CredentialsExpire.IsZero() && !p.observed.CredentialsExpire.After(p.observed.At)
}
