package operations

import (
	"context"
	"errors"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Events returns what happened to the cluster of that name, or to all where it is empty, the latest at the end. Where no such
// cluster lives, or nobody can read it, they are those of all that bore the name; a *store.NotFoundError where there are none.
func (c *Client) Events(ctx context.Context, cluster string) ([]api.Event, error) {
	s, w, err := c.eventsOf(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return w.read(ctx, s)
}

// WatchEvents tells what Events returns, then each event when it happens, until ctx ends and the channel is closed.
func (c *Client) WatchEvents(ctx context.Context, cluster string) (<-chan api.Event, error) {
	s, w, err := c.eventsOf(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if _, err := w.read(ctx, s); err != nil {
		return nil, err
	}
	told, err := s.WatchEvents(ctx, w.uid)
	if err != nil {
		return nil, err
	}
	out := make(chan api.Event)
	go func() {
		defer close(out)
		for e := range told {
			if !w.wants(e) {
				continue
			}
			select {
			case out <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// which events somebody wants: those of a UID, all where it is empty; of these, those that bear a name, where there is one.
type which struct {
	uid, name string
	// otherwise is why there are none, where nothing bears the name.
	otherwise error
}

func (w which) wants(e api.Event) bool { return w.name == "" || e.Cluster == w.name }

func (w which) read(ctx context.Context, s *store.Store) ([]api.Event, error) {
	events, err := s.Events(ctx, w.uid)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e api.Event) bool { return !w.wants(e) })
	if w.name != "" && len(events) == 0 {
		return nil, w.otherwise
	}
	return events, nil
}

func (c *Client) eventsOf(ctx context.Context, cluster string) (*store.Store, which, error) {
	s, err := c.Store(ctx)
	if err != nil || cluster == "" {
		return s, which{}, err
	}
	there, err := s.Get(ctx, cluster)
	var (
		missing *store.NotFoundError
		corrupt *store.CorruptError
	)
	switch {
	case err == nil:
		return s, which{uid: there.Metadata.UID}, nil
	case errors.As(err, &missing), errors.As(err, &corrupt):
		return s, which{name: cluster, otherwise: err}, nil
	}
	return nil, which{}, err
}
