package remote

import "time"

// SetKeepAlive sets the times after which a silent connection is probed and closed, until restore is called.
func SetKeepAlive(probe, dead time.Duration) (restore func()) {
	oldProbe, oldDead := keepAliveAfter, deadAfter
	keepAliveAfter, deadAfter = probe, dead
	return func() { keepAliveAfter, deadAfter = oldProbe, oldDead }
}

// SetStartTimeout sets the time in which a login shell must start a command, until restore is called.
func SetStartTimeout(d time.Duration) (restore func()) {
	old := startTimeout
	startTimeout = d
	return func() { startTimeout = old }
}

var PauseBeforeRetry = pauseBeforeRetry
