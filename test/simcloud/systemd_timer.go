package simcloud

// IsTimerActive reports whether a timer is active on a machine.
func (c *Cloud) IsTimerActive(machine, unit string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.findMachine(machine)
	return m != nil && m.host != nil && m.host.isUnitActive(unit+".timer")
}
