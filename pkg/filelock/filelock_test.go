package filelock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestOneHolderAtATime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	release, err := Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, acquired, err := TryAcquire(name); acquired || err != nil {
		t.Errorf("a held lock: acquired %v, %v", acquired, err)
	}
	cause := errors.New("skyd stops")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*retryInterval, cause)
	defer cancel()
	if _, err := Acquire(ctx, name); !errors.Is(err, cause) {
		t.Errorf("the wait ended with %v", err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := Acquire(t.Context(), name)
		if err == nil {
			second()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("two holders: %v", err)
	case <-time.After(2 * retryInterval):
	}
	release()
	if err := <-got; err != nil {
		t.Errorf("after the release: %v", err)
	}
	release, acquired, err := TryAcquire(name)
	if err != nil || !acquired {
		t.Fatalf("a free lock: acquired %v, %v", acquired, err)
	}
	release()
}

func TestLockExcludesFlockOfOtherProcesses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	tryFlock := func() error { return exec.CommandContext(t.Context(), "flock", "-n", name, "true").Run() }
	release, err := Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := tryFlock(); err == nil {
		t.Error("flock took a held lock")
	}
	release()
	if err := tryFlock(); err != nil {
		t.Errorf("flock of a free lock: %v", err)
	}
}

func TestMissingDirectoryIsAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "none", "lock")
	if _, err := Acquire(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Acquire: %v", err)
	}
	if _, _, err := TryAcquire(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("TryAcquire: %v", err)
	}
}

func TestSharedHoldersExcludeOnlyASoleHolder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := AcquireShared(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	second, err := AcquireShared(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	first()
	if _, acquired, err := TryAcquire(name); acquired || err != nil {
		t.Errorf("a shared lock: acquired %v, %v", acquired, err)
	}
	second()
	sole, acquired, err := TryAcquire(name)
	if err != nil || !acquired {
		t.Fatalf("a free lock: acquired %v, %v", acquired, err)
	}
	cause := errors.New("skyd stops")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*retryInterval, cause)
	defer cancel()
	if _, err := AcquireShared(ctx, name); !errors.Is(err, cause) {
		t.Errorf("the wait for a sole holder ended with %v", err)
	}
	sole()
}

func TestOnlyAFreeLockIsRemoved(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	release, err := Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := RemoveFree(name); err != nil {
		t.Errorf("a held lock: %v", err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Errorf("a held lock is removed: %v", err)
	}
	release()
	if err := RemoveFree(name); err != nil {
		t.Errorf("a free lock: %v", err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a free lock is there: %v", err)
	}
}

func TestLockInARemovedFileIsNotTaken(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	release, err := Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !isAt(f, name) {
		t.Error("the file is not found at its name")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if isAt(f, name) {
		t.Error("a removed file is found at its name")
	}
	second, err := Acquire(t.Context(), name) // the name has another file now
	if err != nil {
		t.Fatal(err)
	}
	defer second()
	if isAt(f, name) {
		t.Error("another file is taken for the removed one")
	}
	release()
	if _, acquired, err := TryAcquire(name); acquired || err != nil {
		t.Errorf("the new lock: acquired %v, %v", acquired, err)
	}
}
