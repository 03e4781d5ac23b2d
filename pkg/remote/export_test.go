package remote

import "time"

// SetKeepAlive makes silence be noticed sooner, until the returned function is called.
func SetKeepAlive(ask, dead time.Duration) (restore func()) {
	oldAsk, oldDead := askAfter, deadAfter
	askAfter, deadAfter = ask, dead
	return func() { askAfter, deadAfter = oldAsk, oldDead }
}

// SetStartTimeout makes a login shell that does not begin a command be given up sooner, until the returned function is
// called.
func SetStartTimeout(d time.Duration) (restore func()) {
	old := startTimeout
	startTimeout = d
	return func() { startTimeout = old }
}

var PauseBeforeRetry = pauseBeforeRetry
