package plan

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// reportSilentAPI reports that the Kubernetes API does not answer, and where that seems to lie.
func (d *planner) reportSilentAPI() {
	switch {
	case !d.isAPISilent():
	case d.w.CloudError != "":
		d.reportDrift("", api.DriftAPISilent, "the Kubernetes API does not answer", untilAsked)
	case d.isAPIUnreachable():
		d.reportDrift("", api.DriftAPIUnreachable, d.describeUnreachableAPI(),
			"nothing is restarted, for the server is well: look at "+
				"what lies between this machine and "+d.apiEndpoint()+
				": a firewall, the cloud's security group, a VPN, or another address")
	default:
		d.reportDrift("", api.DriftAPISilent, "the Kubernetes API does not answer",
			"the head is looked at; workers are left alone until it answers")
	}
}

// isAPIUnreachable says that the Kubernetes API does not answer here, while the head itself says that it is ready. Then
// the way there is broken, and restarting what is well would not mend it.
func (d *planner) isAPIUnreachable() bool {
	if !d.isAPISilent() || d.w.CloudError != "" || d.haveCredentialsExpired() {
		return false
	}
	for i, unit := range d.w.Units {
		if m := d.places[i]; m != nil && isHead(m) && unit.Reached && unit.Health == Healthy && !isUnitDead(unit) {
			return true
		}
	}
	return false
}

func (d *planner) describeUnreachableAPI() string {
	return "the Kubernetes API is ready on the head itself, and does not answer from here: " + d.w.APIError
}

// apiEndpoint is the address at which the Kubernetes API is asked, as far as it is known.
func (d *planner) apiEndpoint() string {
	if d.c.Status.Endpoint != "" {
		return strings.TrimPrefix(d.c.Status.Endpoint, "https://")
	}
	if head := d.places[0]; head != nil && head.Address != "" {
		return "port 6443 of " + head.Address
	}
	return "the head"
}

// haveCredentialsExpired says that the API answers nobody who has what is stored: it is fetched anew over SSH.
func (d *planner) haveCredentialsExpired() bool {
	return !d.w.CredentialsExpire.IsZero() && !d.w.CredentialsExpire.After(d.w.At)
}
