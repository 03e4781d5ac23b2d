// Package filelock provides locks between processes of one computer. A lock is an flock(2) on a file: it ends with the
// process that holds it. Every version of skyctl uses this kind of lock, so that old and new processes exclude each
// other; fcntl locks, as etcd's fileutil takes them, do not exclude flock.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/await"
)

const retryInterval = 50 * time.Millisecond

// Acquire waits until no other process, and no other caller in this one, holds the lock in the named file, which is
// created if it is missing. If the context ends first, the error wraps its cause.
func Acquire(ctx context.Context, name string) (release func(), err error) {
	return awaitLock(ctx, name, unix.LOCK_EX)
}

// AcquireShared is Acquire for a lock that any number of callers hold together, and that excludes those of Acquire and
// TryAcquire.
func AcquireShared(ctx context.Context, name string) (release func(), err error) {
	return awaitLock(ctx, name, unix.LOCK_SH)
}

func awaitLock(ctx context.Context, name string, kind int) (release func(), err error) {
	var f *os.File
	var failed error
	err = await.Condition(ctx, retryInterval, func() (bool, error) {
		f, failed = openLocked(name, kind)
		return f != nil, failed
	})
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for another process that holds the lock %s: %w", name, err)
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

// TryAcquire takes the lock in the named file if nobody holds it.
func TryAcquire(name string) (release func(), acquired bool, err error) {
	f, err := openLocked(name, unix.LOCK_EX)
	if err != nil || f == nil {
		return nil, false, err
	}
	return func() { _ = f.Close() }, true, nil
}

// RemoveFree removes the named file, unless somebody holds the lock in it. Who waits for the lock meanwhile makes the
// file anew.
func RemoveFree(name string) error {
	release, acquired, err := TryAcquire(name)
	if err != nil || !acquired {
		return err
	}
	defer release()
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("removing the lock file: %w", err)
	}
	return nil
}

// openLocked opens the named file and takes its lock. It returns nil if somebody else holds the lock, or has just
// removed the file: a lock in a removed file excludes nobody.
func openLocked(name string, kind int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	locked, err := tryLock(f, kind)
	if err != nil || !locked || !isAt(f, name) {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// isAt reports whether a name still is that of an open file.
func isAt(f *os.File, name string) bool {
	own, err := f.Stat()
	named, errNamed := os.Stat(name)
	return err == nil && errNamed == nil && os.SameFile(own, named)
}

func tryLock(f *os.File, kind int) (bool, error) {
	err := unix.Flock(int(f.Fd()), kind|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return true, nil
}
