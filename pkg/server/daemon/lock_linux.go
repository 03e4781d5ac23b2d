package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock of an open file, as an "open file description lock": a query of it takes nothing. It reports
// false if it is held.
func lockFile(f *os.File) (locked bool, err error) {
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func unlockFile(f *os.File) error {
	whole := unix.Flock_t{Type: unix.F_UNLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
}

// isLocked reports whether another open file holds the lock.
func isLocked(f *os.File) (bool, error) {
	// The probe is a read lock, because the file is open for reading only.
	probe := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &probe); err != nil {
		return false, err
	}
	return probe.Type != unix.F_UNLCK, nil
}

// canHaveWritten reports whether a process has the named file open.
func canHaveWritten(pid int, name string) bool {
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
