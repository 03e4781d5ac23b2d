package personalfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
)

const (
	lockRetry = 20 * time.Millisecond
	// LockWait is how long the lock of one other program is waited for. kubectl holds it for milliseconds.
	LockWait = 5 * time.Second
	// leftBehindAfter is the age of a lock that a program must have left behind.
	leftBehindAfter = time.Minute
)

// LockError says that a lock file of another program did not go away.
type LockError struct {
	Path string
	Age  time.Duration
}

func (e *LockError) Error() string {
	return fmt.Sprintf("another program has held the lock %s for %s; if no kubectl or kind is running, remove it",
		e.Path,
		e.Age.Round(time.Second))
}

// AcquireLockFile creates PATH.lock as kubectl and kind do (client-go's ModifyConfig), and waits while other programs
// have it, up to LockWait for each of them. It also locks the file at the end of symbolic links. A lock that is older
// than a minute was left behind: it is removed.
func AcquireLockFile(ctx context.Context, path string) (release func(), err error) {
	locks := []string{path + ".lock"}
	if target := resolveLinks(path); target != path {
		locks = append(locks, target+".lock")
	}
	held := map[string]fs.FileInfo{}
	release = func() {
		for name, own := range held { // unless this process slept so long that another one removed it as left behind
			if now, err := os.Lstat(name); err == nil && os.SameFile(now, own) {
				_ = os.Remove(name)
			}
		}
	}
	for _, name := range locks {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			release()
			return nil, err
		}
		own, err := awaitLockFile(ctx, name)
		if err != nil {
			release()
			return nil, explainLock(name, err)
		}
		held[name] = own
	}
	return release, nil
}

// awaitLockFile creates a lock file. The wait for a program that has it begins anew whenever another one takes it.
func awaitLockFile(ctx context.Context, name string) (own fs.FileInfo, err error) {
	var other fs.FileInfo
	since := time.Now()
	err = await.Condition(ctx, lockRetry, func() (locked bool, err error) {
		if own, err = tryLockFile(name); own != nil || err != nil {
			return own != nil, err
		}
		if now, err := os.Lstat(name); err != nil || !isSameLock(now, other) {
			other, since = now, time.Now()
		}
		if time.Since(since) >= LockWait {
			return false, context.DeadlineExceeded
		}
		return false, nil
	})
	return own, err
}

// isSameLock reports whether two lock files are one: a file system may give a new file the inode of a removed one.
func isSameLock(a, b fs.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

func explainLock(name string, err error) error {
	info, statErr := os.Stat(name)
	if !errors.Is(err, context.DeadlineExceeded) || statErr != nil {
		return fmt.Errorf("locking with %s: %w", name, err)
	}
	return &LockError{Path: name, Age: time.Since(info.ModTime())}
}

// tryLockFile returns the lock file that it created; nil if there is one of another program.
func tryLockFile(name string) (fs.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case err == nil:
		own, err := f.Stat()
		return own, errors.Join(err, f.Close())
	case errors.Is(err, fs.ErrExist):
		return nil, removeLeftBehind(name)
	}
	return nil, err
}

// removeLeftBehind removes an old lock. If another process has just replaced it, the new one is put back.
func removeLeftBehind(name string) error {
	old, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && time.Since(old.ModTime()) < leftBehindAfter {
		return nil
	}
	if err != nil {
		return err
	}
	aside := fmt.Sprintf("%s-%d", name, rand.Uint64())
	if err := os.Rename(name, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if moved, err := os.Stat(aside); err == nil && !os.SameFile(moved, old) {
		_ = os.Link(aside, name)
	}
	return removeFile(aside)
}
