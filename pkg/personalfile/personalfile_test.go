package personalfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sky-shift/skyctl/test/needs"
)

// appendLine is an edit that adds the line "ours".
func appendLine(path string) Edit {
	return Edit{Path: path,
		Lock:       func(ctx context.Context) (func(), error) { return AcquireLockFile(ctx, path) },
		HasEntries: func(text []byte) bool { return strings.Contains(string(text), "ours") },
		Change:     func(text, _ []byte) ([]byte, error) { return append(text, "ours\n"...), nil }}
}

func writeText(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func requireText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func TestFirstChangeKeepsACopyThatGoesWithTheLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "config")
	if changed, err := Apply(t.Context(), appendLine(path)); err != nil || !changed {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	writeText(t, path, "theirs\n", 0o644)
	for range 2 {
		if _, err := Apply(t.Context(), appendLine(path)); err != nil {
			t.Fatal(err)
		}
	}
	requireText(t, path, "theirs\nours\nours\n")
	requireText(t, path+BackupSuffix, "theirs\n")
	back := appendLine(path)
	back.Change = func(_, earlier []byte) ([]byte, error) { return earlier, nil }
	if _, err := Apply(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	requireText(t, path, "theirs\n")
	if info, err = os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestFailedChangeLeavesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, "theirs\n", 0o600)
	e := appendLine(path)
	e.Change = func([]byte, []byte) ([]byte, error) { return nil, errors.New("no") }
	if changed, err := Apply(t.Context(), e); err == nil || changed || !strings.Contains(err.Error(), path) {
		t.Errorf("changed %v, %v", changed, err)
	}
	requireText(t, path, "theirs\n")
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestLockLeftBehindIsRemovedAndAHeldOneAwaited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	lock := path + ".lock"
	writeText(t, lock, "", 0o000)
	old := time.Now().Add(-2 * leftBehindAfter)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	release, err := AcquireLockFile(t.Context(), path)
	if err != nil {
		t.Fatalf("a lock that was left behind: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockRetry)
	defer cancel()
	held := new(LockError)
	if _, err := AcquireLockFile(ctx, path); !errors.As(err, &held) || held.Path != lock {
		t.Errorf("a held lock: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := AcquireLockFile(t.Context(), path)
		if err == nil {
			second()
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Errorf("after the release: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

// Others that take turns do not use up the wait: a file with many writers on a slow disk has them.
func TestEachHolderOfALockIsWaitedForAnew(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "config.lock")
	synctest.Test(t, func(t *testing.T) {
		took := make(chan time.Duration, 1)
		start := time.Now()
		writeText(t, lock, "", 0o600)
		go func() {
			if _, err := awaitLockFile(t.Context(), lock); err != nil {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
			took <- time.Since(start)
		}()
		for range 3 {
			time.Sleep(LockWait - time.Second)
			writeText(t, lock+".next", "", 0o600)
			if err := os.Rename(lock+".next", lock); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(LockWait - time.Second)
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		if got := <-took; got < 4*(LockWait-time.Second) {
			t.Errorf("it has the lock after %s", got)
		}
		if _, err := awaitLockFile(t.Context(), lock); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that keeps the lock: %v", err)
		}
	})
}

func TestLockOfAnotherProgramIsNotReleased(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	lock := path + ".lock"
	release, err := AcquireLockFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, path+".next", "", 0o600) // another program took the lock for left behind
	if err := os.Rename(path+".next", lock); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("the other program's lock: %v", err)
	}
}

func TestOwnerStaysIfRootWrites(t *testing.T) {
	needs.Root(t)
	path := filepath.Join(t.TempDir(), "config")
	writeText(t, path, "theirs\n", 0o600)
	if err := os.Chown(path, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), appendLine(path)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + BackupSuffix} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 12345 || s.Gid != 54321 {
			t.Errorf("%s belongs to %+v", name, info.Sys())
		}
	}
	if IsOwn(path) {
		t.Error("a file of somebody else is own")
	}
}

func TestMissingFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "config")
	e := appendLine(path)
	e.OnlyExisting = true
	if changed, err := Apply(t.Context(), e); err != nil || changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
}
