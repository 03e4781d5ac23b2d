package api

// ConfigAddresses are the addresses that RKE2's configuration on a machine has to hold, in one line: its own two, and
// that of the head, where it joins the cluster.
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

// HasOutdatedConfig says that RKE2's configuration on a machine holds addresses of before.
func (m *Machine) HasOutdatedConfig(head *Machine) bool {
	return m.ConfiguredFor != "" && m.ConfiguredFor != m.ConfigAddresses(head)
}
