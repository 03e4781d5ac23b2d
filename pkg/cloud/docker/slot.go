package docker

import (
	"context"
	"sync"
)

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

// slots holds one slot for each name in use.
type slots struct {
	mu     sync.Mutex
	byName map[string]*namedSlot
}

type namedSlot struct {
	slot
	users int
}

// acquire takes the name's slot; the returned function gives it back.
func (s *slots) acquire(ctx context.Context, name string) (release func(), err error) {
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
