package faults

// addressFaults restart machines at other addresses, like a reboot of the Docker host or a stop and start on a cloud.
func addressFaults() []fault {
	moving := func(machines ...int) func(*lane) {
		return func(l *lane) {
			l.ready()
			var names []string
			for _, i := range machines {
				names = append(names, l.machine(i))
			}
			l.check(l.cloud.RebootAtNewAddresses(names...))
			l.converge()
			l.isFound()
		}
	}
	return []fault{
		{kind: "changed addresses", name: "head and worker have each other's", ends: isReady, try: moving(0, 1)},
		{kind: "changed addresses", name: "workers have each other's", ends: isReady, try: moving(1, 2)},
		{kind: "changed addresses", name: "all have another one's", ends: isReady, try: moving(0, 1, 2)},
		{kind: "changed addresses", name: "the head has a new one", ends: isReady, try: moving(0)},
		{kind: "changed addresses", name: "a worker has a new one", ends: isReady, try: moving(1)},
		{kind: "changed addresses", name: "worker killed while they are recorded", ends: isReady, try: func(l *lane) {
			l.ready()
			l.check(l.cloud.RebootAtNewAddresses(l.machine(0), l.machine(1)))
			l.beginSweep()
			l.until("they are recorded", func() bool { return l.killer.ran("RecordAddress") > 0 })
			l.kill()
			l.converge()
			l.isFound()
		}},
	}
}

// isFound checks that each machine's address is on record and that RKE2 is configured for it.
func (l *lane) isFound() {
	l.t.Helper()
	c := l.find()
	for _, m := range l.machines() {
		r := c.Status.Machines[m.Index]
		if r.Address != m.Address || r.SSHPort != m.SSHPort || r.HasOutdatedConfig(&c.Status.Machines[0]) {
			l.t.Errorf("%s is at %s:%d, on record at %s:%d, configured for %q", m.Name, m.Address, m.SSHPort, r.Address,
				r.SSHPort, r.ConfiguredFor)
		}
	}
}
