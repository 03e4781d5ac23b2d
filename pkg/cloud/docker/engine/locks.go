package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/filelock"
)

// Lock waits until nobody else holds the named lock, in this process or in another one of this user.
func (e *Engine) Lock(ctx context.Context, name string) (release func(), err error) {
	leave, err := e.locks.Acquire(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("wait for another step of skyctl that holds %s: %w", name, err)
	}
	path, err := e.lockPath(name)
	if err != nil {
		leave()
		return nil, err
	}
	unlock, err := filelock.Acquire(ctx, path)
	if err != nil {
		leave()
		return nil, err
	}
	return func() { unlock(); leave() }, nil
}

// TryLock takes the named lock if nobody holds it.
func (e *Engine) TryLock(name string) (unlock func(), acquired bool) {
	path, err := e.lockPath(name)
	if err != nil {
		return nil, false
	}
	unlock, acquired, err = filelock.TryAcquire(path)
	return unlock, acquired && err == nil
}

// RemoveFreeLocks removes the files of the locks that nobody holds.
func (e *Engine) RemoveFreeLocks() error {
	names, err := filepath.Glob(filepath.Join(e.lockDir, "*.lock"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := filelock.RemoveFree(name); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) lockPath(name string) (string, error) {
	if err := os.MkdirAll(e.lockDir, 0o700); err != nil {
		return "", fmt.Errorf("create the directory for the host image and for locks: %w", err)
	}
	return filepath.Join(e.lockDir, name), nil
}
