package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// reportSilentAPI reports that the Kubernetes API does not answer, and where that seems to lie.
func (p *planner) reportSilentAPI() {
	switch {
	case !p.isAPISilent():
	case p.observed.CloudError != "":
		p.reportDrift("", api.DriftAPISilent, "the Kubernetes API does not answer", untilAsked)
	case p.isAPIUnreachable():
		p.reportDrift("", api.DriftAPIUnreachable, p.describeUnreachableAPI(),
			"nothing is restarted, for the server is well: look at "+
				"what lies between this machine and "+p.apiEndpoint()+
				": a firewall, the cloud's security group, a VPN, or another address")
	default:
		p.reportDrift("", api.DriftAPISilent, "the Kubernetes API does not answer",
			"the head is looked at; workers are left alone until it answers")
	}
}

// isAPIUnreachable says that the Kubernetes API does not answer here, while the head itself says that it is ready. Then
// the way there is broken, and restarting what is well would not mend it.
func (p *planner) isAPIUnreachable() bool {
	if !p.isAPISilent() || p.observed.CloudError != "" || p.haveCredentialsExpired() {
		return false
	}
	for i, unit := range p.observed.Units {
		if m := p.machines[i]; m != nil && isHead(m) && unit.Reached && unit.Health == Healthy && !isUnitDead(unit) {
			return true
		}
	}
	return false
}

func (p *planner) describeUnreachableAPI() string {
	return "the Kubernetes API is ready on the head itself, and does not answer from here: " + p.observed.APIError
}

// apiEndpoint is the address at which the Kubernetes API is asked, as far as it is known.
func (p *planner) apiEndpoint() string {
	if p.cluster.Status.Endpoint != "" {
		return strings.TrimPrefix(p.cluster.Status.Endpoint, "https://")
	}
	if head := p.machines[0]; head != nil && head.Address != "" {
		return "port 6443 of " + head.Address
	}
	return "the head"
}

// haveCredentialsExpired says that the API answers nobody who has what is stored: it is fetched anew over SSH.
func (p *planner) haveCredentialsExpired() bool {
	return !p.observed.CredentialsExpire.IsZero() && !p.observed.CredentialsExpire.After(p.observed.At)
}
