// Package daemon finds, starts and stops the skyd dev of a state directory. It links no server, so that skyctl can use
// it.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// ErrHeld is wrapped by AcquireLock's error if another process holds the lock.
var ErrHeld = errors.New("already in use")

// Lock is held by one process at a time and is released when the process exits for any reason. It belongs to the open
// file and not to the process, so that it also excludes a second holder in the same process, and so that querying it
// does not drop it.
type Lock struct {
	file *os.File
}

// AcquireLock takes the lock in the named file and writes the process id into it.
func AcquireLock(name string) (*Lock, error) {
	f, err := regularfile.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	if locked, err := lockFile(f); err != nil || !locked {
		_ = f.Close()
		if err == nil {
			return nil, fmt.Errorf("%w by process %s (lock file %s)", ErrHeld, readLockPID(name), name)
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	// Fixed length and one write: a reader sees the old number or the new one, never a mixture.
	if _, err := f.WriteAt(fmt.Appendf(nil, "%10d\n", os.Getpid()), 0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing the process id into %s: %w", name, err)
	}
	return &Lock{file: f}, nil
}

// Release releases the lock. The file stays: if it were removed, two processes could lock two files of one name.
// Closing the file is not enough: a child process that is being started has it open until its exec.
func (l *Lock) Release() error {
	return errors.Join(unlockFile(l.file), l.file.Close())
}

// FindLockHolder returns the id of the process that holds the lock, or 0. It trusts the number in the file only if that
// process can have written it, so that no signal goes to an unrelated process that reuses the id.
func FindLockHolder(name string) (int, error) {
	f, err := regularfile.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("finding the holder of the lock: %w", err)
	}
	defer func() { _ = f.Close() }()
	// A process writes its id right after it has taken the lock.
	for try := 0; ; try++ {
		locked, err := isLocked(f)
		if err != nil {
			return 0, fmt.Errorf("querying the lock of %s: %w", name, err)
		}
		if !locked {
			return 0, nil
		}
		if pid, err := strconv.Atoi(readLockPID(name)); err == nil && canHaveWritten(pid, name) {
			return pid, nil
		}
		if try == holderTries {
			return 0, fmt.Errorf("%s is locked by a process that is not visible here: run this command as the same "+
				"user, in the same container", name)
		}
		time.Sleep(holderPause)
	}
}

const (
	holderTries = 50
	holderPause = 10 * time.Millisecond
)

func readLockPID(name string) string {
	text, err := regularfile.Read(name, regularfile.SmallFile)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(unknown)"
}
