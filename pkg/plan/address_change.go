package plan

import (
	"cmp"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// hasAddressChanged says whether the cloud lists a running machine at another address than its record. Until the new
// one is recorded, connections reach another machine or none.
func hasAddressChanged(m *api.Machine, l *ListedMachine) bool {
	if l == nil || l.Stopped || l.Unknown || m.Address == "" {
		return false
	}
	return l.Address != "" && l.Address != m.Address ||
		l.PrivateAddress != "" && l.PrivateAddress != m.PrivateAddress ||
		l.SSHPort != 0 && m.SSHPort != 0 && l.SSHPort != m.SSHPort
}

// planAddressChange plans for a machine whose address differs from its record, or whose RKE2 is configured for another
// address. It returns whether that comes before all other repairs; it does not once it has failed too often.
func (p *planner) planAddressChange(m *api.Machine, l *ListedMachine) bool {
	head := p.head
	switch {
	case hasAddressChanged(m, l):
		a := newMachineAction(m, api.ActionRecordAddress, api.DriftAddressChanged, "the cloud lists it at "+
			formatAddresses(l.Address, l.PrivateAddress, l.SSHPort)+
			", its record says "+formatAddresses(m.Address, m.PrivateAddress, m.SSHPort))
		return p.requestActionFirst(a, "its address is restored, or the new one is recorded")
	case !m.HasOutdatedConfig(head):
		return false
	case p.isAPISilent() && !isHead(m):
		p.reportDrift(m.Name, api.DriftConfigOutdated, describeOutdatedConfig(m, head), "RKE2 is reconfigured "+
			onceAPIAnswers)
		return true
	}
	return p.requestActionFirst(newMachineAction(m, api.ActionReconfigure, api.DriftConfigOutdated,
		describeOutdatedConfig(m, head)), "RKE2 is reconfigured and restarted")
}

// requestActionFirst requests an action unless it has reached its limit, and returns whether it did.
func (p *planner) requestActionFirst(a api.Action, next string) bool {
	if p.isRepairLimitReached(a, p.policy.Restarts) {
		return false
	}
	p.requestAction(a, next)
	return true
}

func describeOutdatedConfig(m, head *api.Machine) string {
	return fmt.Sprintf("its RKE2 is configured for old addresses (%s) instead of %s",
		m.ConfiguredFor, m.ConfigAddresses(head))
}

// formatAddresses shows the addresses of a machine, and its SSH port if that is not 22.
func formatAddresses(public, private string, port int) string {
	text := cmp.Or(public, private)
	if port != 0 && port != 22 {
		text = fmt.Sprintf("%s:%d", text, port)
	}
	if private != "" && private != public && public != "" {
		text += " (" + private + ")"
	}
	return text
}
