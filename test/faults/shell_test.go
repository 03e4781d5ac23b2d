package faults

// shellFaults are login shells that print, or that run no command.
func shellFaults() []fault {
	noisy := func(startup string) func(*lane) {
		return func(l *lane) {
			for i := range size {
				l.cloud.SetNoisyShell(l.machine(i), startup)
			}
			ref := l.create()
			l.awaitReady(ref)
			l.cloud.SetNoisyShell(l.machine(1), "")
		}
	}
	return []fault{
		{kind: "noisy shell", name: "greets on both streams", ends: isReady,
			try: noisy("echo hi; printf 'arch=sparc cpus=none send' >&2; printf have")},
		{kind: "noisy shell", name: "has its own exit status and last words", ends: isReady,
			try: noisy("trap 'echo bye; echo bye >&2; exit 9' EXIT")},
		{kind: "noisy shell", name: "leaves something running", ends: isReady, try: noisy("sleep 30 &")},
		{kind: "noisy shell", name: "begins to print once the cluster is READY", ends: isReady, try: func(l *lane) {
			l.ready()
			l.cloud.SetNoisyShell(l.machine(1), "seq 1000; seq 1000 >&2; set -x")
			l.check(l.cloud.StopUnit(l.machine(1), "failed"))
			l.converge()
		}},
		{kind: "noisy shell", name: "rejects every login", ends: isError(1, "LoginShellFailed"), try: func(l *lane) {
			l.cloud.SetNoisyShell(l.machine(1), "echo 'This account is currently not available.'; exit 1")
			l.create()
		}},
		{kind: "noisy shell", name: "becomes another shell", ends: isError(0, "LoginShellFailed"), try: func(l *lane) {
			l.cloud.SetNoisyShell(l.machine(0), "exec sh")
			l.create()
		}},
		{kind: "noisy shell", name: "prints without end", ends: isError(1, "LoginShellFailed"), try: func(l *lane) {
			l.cloud.SetNoisyShell(l.machine(1), "yes hi")
			l.create()
		}},
	}
}
