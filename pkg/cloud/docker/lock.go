package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	imageLock   = "build.lock"
	networkLock = "network.lock"
	probeLock   = "probe.lock"
)

// acquireFileLock keeps this user's other processes from doing at the same time what the named lock is for.
func (c *Cloud) acquireFileLock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := c.openLockFile(name)
	if err != nil {
		return nil, err
	}
	err = pollUntilDone(ctx, 50*time.Millisecond, func() (bool, error) { return tryFlock(f) })
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for another process of skyctl that holds %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil // closing unlocks
}

// tryFileLock takes a lock if nobody holds it.
func (c *Cloud) tryFileLock(name string) (unlock func(), ok bool) {
	f, err := c.openLockFile(name)
	if err != nil {
		return nil, false
	}
	if ok, err = tryFlock(f); !ok || err != nil {
		f.Close()
		return nil, false
	}
	return func() { f.Close() }, true
}

// openLockFile opens the file of a lock. It is empty, and stays: a lock ends with the process that holds it, so that a
// file which is left says nothing.
func (c *Cloud) openLockFile(name string) (*os.File, error) {
	if err := os.MkdirAll(c.opts.ImageCacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("make a place for the host image: %w", err)
	}
	path := filepath.Join(c.opts.ImageCacheDir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func tryFlock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return err == nil, err
}

// slot is a mutex whose waiting ends with a context.
type slot chan struct{}

func newSlot() slot { return make(slot, 1) }

func (s slot) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slot) release() { <-s }

// keyedSlots holds one slot for each name in use.
type keyedSlots struct {
	mu     sync.Mutex
	byName map[string]*namedSlot
}

type namedSlot struct {
	slot
	users int
}

// acquire takes the name's slot; the returned function gives it back.
func (s *keyedSlots) acquire(ctx context.Context, name string) (release func(), err error) {
	s.mu.Lock()
	n := s.byName[name]
	if n == nil {
		n = &namedSlot{slot: newSlot()}
		s.byName[name] = n
	}
	n.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n.users--; n.users == 0 {
			delete(s.byName, name)
		}
	}
	if err := n.slot.acquire(ctx); err != nil {
		leave()
		return nil, err
	}
	return func() { n.slot.release(); leave() }, nil
}

// pollUntilDone asks until the answer is yes or an error, or the context ends.
func pollUntilDone(ctx context.Context, every time.Duration, ask func() (bool, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
