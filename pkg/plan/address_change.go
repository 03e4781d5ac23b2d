package plan

import (
	"cmp"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// hasAddressChanged says that the cloud lists a machine that runs at another address than the one on record. Until that
// is recorded, whoever asks the machine asks another one, or nobody.
func hasAddressChanged(m *api.Machine, l *ListedMachine) bool {
	if l == nil || l.Stopped || l.Unknown || m.Address == "" {
		return false
	}
	return l.Address != "" && l.Address != m.Address ||
		l.PrivateAddress != "" && l.PrivateAddress != m.PrivateAddress ||
		l.SSHPort != 0 && m.SSHPort != 0 && l.SSHPort != m.SSHPort
}

// planAddressChange sees to a machine whose address is not the one on record, or whose RKE2 is configured for another
// one. It says whether that is to be done before anything else; where it was done often and in vain, it is not.
func (p *planner) planAddressChange(m *api.Machine, l *ListedMachine) bool {
	head := p.machines[0]
	switch {
	case hasAddressChanged(m, l):
		a := newMachineAction(m, api.ActionRecordAddress, api.DriftAddressChanged, "the cloud lists it at "+
			formatAddresses(l.Address, l.PrivateAddress, l.SSHPort)+
			", on record is "+formatAddresses(m.Address, m.PrivateAddress, m.SSHPort))
		return p.requestActionFirst(a, "it gets its address again, or the new one is recorded")
	case !m.HasOutdatedConfig(head):
		return false
	case p.isAPISilent() && !isHead(m):
		p.reportDrift(m.Name, api.DriftConfigOutdated, describeOutdatedConfig(m, head), "RKE2 is configured anew "+
			onceAPIAnswers)
		return true
	}
	return p.requestActionFirst(newMachineAction(m, api.ActionReconfigure, api.DriftConfigOutdated,
		describeOutdatedConfig(m, head)), "RKE2 is configured anew and restarted")
}

// requestActionFirst asks for an action before all others on its machine, unless that did not help often enough.
func (p *planner) requestActionFirst(a api.Action, next string) bool {
	if p.isRepairLimitReached(a, p.policy.Restarts) {
		return false
	}
	p.requestAction(a, next)
	return true
}

func describeOutdatedConfig(m, head *api.Machine) string {
	return fmt.Sprintf("RKE2 on it is configured for the addresses of before (%s), and should be for %s",
		m.ConfiguredFor, m.ConfigAddresses(head))
}

// formatAddresses are those of a machine in words: the port only where it is not the usual one.
func formatAddresses(public, private string, port int) string {
	said := cmp.Or(public, private)
	if port != 0 && port != 22 {
		said = fmt.Sprintf("%s:%d", said, port)
	}
	if private != "" && private != public && public != "" {
		said += " (" + private + ")"
	}
	return said
}
