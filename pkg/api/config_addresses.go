package api

import "strings"

// ConfigAddresses are the addresses that RKE2's configuration on a machine must have, in one line: its own two, and
// that of the head if the machine joins one.
func (m *Machine) ConfigAddresses(head *Machine) string {
	line := "node " + m.PrivateAddress
	if m.Address != m.PrivateAddress {
		line += " external " + m.Address
	}
	if m.Role != RoleHead && head != nil {
		line += " server " + head.PrivateAddress
	}
	return line
}

// ConfiguredPrivateAddress is the machine's own private address in RKE2's configuration; empty if that is unknown.
func (m *Machine) ConfiguredPrivateAddress() string {
	line, _ := strings.CutPrefix(m.ConfiguredFor, "node ")
	address, _, _ := strings.Cut(line, " ")
	return address
}

// HasOutdatedConfig reports whether RKE2's configuration on a machine has earlier addresses.
func (m *Machine) HasOutdatedConfig(head *Machine) bool {
	return m.ConfiguredFor != "" && m.ConfiguredFor != m.ConfigAddresses(head)
}
