// Package daemon finds, starts and stops the skyd dev of a state directory. It links no server, so that the command line
// can use it.
package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrHeld is what Acquire's error wraps where another process holds the lock.
var ErrHeld = errors.New("already in use")

// Lock is held by one process at a time and goes with it, however it ends. It belongs to the open file and not to the
// process (an "open file description lock"), so that it also holds against a second holder in the same process, and so
// that asking about it neither takes nor drops it.
type Lock struct {
	file *os.File
}

// Acquire takes the lock in the named file and writes the process id into it.
func Acquire(name string) (*Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("%w by process %s (lock file %s)", ErrHeld, writtenPID(name), name)
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	// Of fixed length and in one write: a reader sees the old number or the new one, never a mixture.
	if _, err := f.WriteAt(fmt.Appendf(nil, "%10d\n", os.Getpid()), 0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing the process id into %s: %w", name, err)
	}
	return &Lock{file: f}, nil
}

// Release lets go of the lock. The file stays: removing it would let two processes lock two files of one name.
func (l *Lock) Release() error { return l.file.Close() }

// Holder gives the process that holds the lock, and 0 where none does.
func Holder(name string) (int, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking who runs: %w", err)
	}
	defer func() { _ = f.Close() }()
	// A read lock is asked about, since the file is open for reading only.
	probe := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &probe); err != nil {
		return 0, fmt.Errorf("asking who holds %s: %w", name, err)
	}
	if probe.Type == unix.F_UNLCK {
		return 0, nil
	}
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s is locked but holds no process id yet: try again", name)
	}
	return pid, nil
}

func writtenPID(name string) string {
	text, err := os.ReadFile(name)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(not told)"
}
