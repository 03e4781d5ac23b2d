package client

import (
	"context"
	"errors"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ListEvents returns what happened to the cluster of that name, or to all where it is empty, the latest at the end.
// Where no such cluster lives, or nobody can read it, they are those of all that bore the name; a *store.NotFoundError
// where there are none.
func (c *Client) ListEvents(ctx context.Context, cluster string) ([]api.Event, error) {
	s, w, err := c.newEventSelector(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return w.listEvents(ctx, s)
}

// WatchEvents tells what Events returns, then each event when it happens, until ctx ends and the channel is closed.
func (c *Client) WatchEvents(ctx context.Context, cluster string) (<-chan api.Event, error) {
	s, w, err := c.newEventSelector(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if _, err := w.listEvents(ctx, s); err != nil {
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
			if !w.matchesEvent(e) {
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

// eventSelector events somebody wants: those of a UID, all where it is empty; of these, those that bear a name, where
// there is one.
type eventSelector struct {
	uid, name string
	// otherwise is why there are none, where nothing bears the name.
	otherwise error
}

func (w eventSelector) matchesEvent(e api.Event) bool { return w.name == "" || e.Cluster == w.name }

func (w eventSelector) listEvents(ctx context.Context, s *store.Store) ([]api.Event, error) {
	events, err := s.ListEvents(ctx, w.uid)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e api.Event) bool { return !w.matchesEvent(e) })
	if w.name != "" && len(events) == 0 {
		return nil, w.otherwise
	}
	return events, nil
}

func (c *Client) newEventSelector(ctx context.Context, cluster string) (*store.Store, eventSelector, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil || cluster == "" {
		return s, eventSelector{}, err
	}
	there, err := s.ReadCluster(ctx, cluster)
	var (
		missing *store.NotFoundError
		corrupt *store.CorruptError
	)
	switch {
	case err == nil:
		return s, eventSelector{uid: there.Metadata.UID}, nil
	case errors.As(err, &missing), errors.As(err, &corrupt):
		return s, eventSelector{name: cluster, otherwise: err}, nil
	}
	return nil, eventSelector{}, err
}
