package remote

import "time"

// SetKeepAlive makes silence be noticed sooner, until the returned function is called.
func SetKeepAlive(ask, dead time.Duration) (restore func()) {
	oldAsk, oldDead := askAfter, deadAfter
	askAfter, deadAfter = ask, dead
	return func() { askAfter, deadAfter = oldAsk, oldDead }
}

var Pause = pause
