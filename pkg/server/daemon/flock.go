package daemon

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The lock of systems whose open file description locks Go does not know: flock(2), which belongs to the open file as
// well. It has no query, so that isLockedByFlock takes a shared lock for an instant; lockByFlock waits for those.

const (
	flockTries = 20
	flockPause = 5 * time.Millisecond
)

// lockByFlock takes the lock of an open file. It reports false if it is held.
func lockByFlock(f *os.File) (locked bool, err error) {
	for range flockTries {
		if locked, err = tryFlock(f, unix.LOCK_EX); locked || err != nil {
			return locked, err
		}
		time.Sleep(flockPause)
	}
	return false, nil
}

// isLockedByFlock reports whether another open file holds the lock.
func isLockedByFlock(f *os.File) (bool, error) {
	got, err := tryFlock(f, unix.LOCK_SH)
	if err != nil || !got {
		return err == nil, err
	}
	return false, unix.Flock(int(f.Fd()), unix.LOCK_UN)
}

func tryFlock(f *os.File, kind int) (locked bool, err error) {
	for {
		err = unix.Flock(int(f.Fd()), kind|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return err == nil, err
		}
	}
}
