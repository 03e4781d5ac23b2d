// Package daemon finds, starts and stops the skyd dev of a state directory. It links no server, so that the command
// line can use it.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// ErrHeld is what Acquire's error wraps where another process holds the lock.
var ErrHeld = errors.New("already in use")

// Lock is held by one process at a time and goes with it, however it ends. It belongs to the open file and not to the
// process (an "open file description lock"), so that it also holds against a second holder in the same process, and so
// that asking about it neither takes nor drops it.
type Lock struct {
	file *os.File
}

// AcquireLock takes the lock in the named file and writes the process id into it.
func AcquireLock(name string) (*Lock, error) {
	f, err := regularfile.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("%w by process %s (lock file %s)", ErrHeld, readLockPID(name), name)
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

// Release lets go of the lock. The file stays: removing it would let two processes lock two files of one name. Closing
// it alone would not do: a program that is just being started has the file open too until it runs.
func (l *Lock) Release() error {
	whole := unix.Flock_t{Type: unix.F_UNLCK}
	err := unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &whole)
	return errors.Join(err, l.file.Close())
}

// FindLockHolder gives the process that holds the lock, and 0 where none does. The number in the file is believed only
// of a process that has the file open, so that a signal never meets a stranger who inherited the number.
func FindLockHolder(name string) (int, error) {
	f, err := regularfile.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking who runs: %w", err)
	}
	defer func() { _ = f.Close() }()
	// Whoever has just taken the lock writes its number in the next instant.
	for try := 0; ; try++ {
		held, err := isHeld(f)
		if err != nil || !held {
			return 0, err
		}
		if pid, err := strconv.Atoi(readLockPID(name)); err == nil && hasFileOpen(pid, name) {
			return pid, nil
		}
		if try == holderTries {
			return 0, fmt.Errorf("%s is locked by a process that this one can't see: ask as the same user, in the "+
				"same container", name)
		}
		time.Sleep(holderPause)
	}
}

const (
	holderTries = 50
	holderPause = 10 * time.Millisecond
)

func isHeld(f *os.File) (bool, error) {
	// A read lock is asked about, since the file is open for reading only.
	probe := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &probe); err != nil {
		return false, fmt.Errorf("asking who holds %s: %w", f.Name(), err)
	}
	return probe.Type != unix.F_UNLCK, nil
}

func hasFileOpen(pid int, name string) bool {
	want, err := os.Stat(name)
	if err != nil {
		return false
	}
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
		info, err := os.Stat(dir + fd.Name())
		return err == nil && os.SameFile(info, want)
	})
}

func readLockPID(name string) string {
	text, err := regularfile.Read(name, regularfile.SmallFile)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(not told)"
}
