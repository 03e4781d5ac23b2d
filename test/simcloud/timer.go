package simcloud

// Timer says whether a timer runs on a machine.
func (c *Cloud) Timer(machine, unit string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.named(machine)
	return m != nil && m.host != nil && m.host.running(unit+".timer")
}
