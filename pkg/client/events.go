package client

import (
	"context"
	"errors"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ListEvents returns the events of a cluster, or of all if cluster is empty, the latest last. If the cluster does not
// exist or cannot be read, it returns the events of all clusters that had the name; the error is a *store.NotFoundError
// if there are none.
func (c *Client) ListEvents(ctx context.Context, cluster string) ([]api.Event, error) {
	s, w, err := c.newEventSelector(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return w.listEvents(ctx, s)
}

// WatchEvents sends what ListEvents returns and then each new event, until ctx ends and the channel is closed.
func (c *Client) WatchEvents(ctx context.Context, cluster string) (<-chan api.Event, error) {
	s, w, err := c.newEventSelector(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if _, err := w.listEvents(ctx, s); err != nil {
		return nil, err
	}
	watched, err := s.WatchEvents(ctx, w.uid)
	if err != nil {
		return nil, err
	}
	out := make(chan api.Event)
	go func() {
		defer close(out)
		for e := range watched {
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

// eventSelector selects events by the UID and the name of their cluster; an empty value matches all.
type eventSelector struct {
	uid, name string
	// notFound is the error if no event has the name.
	notFound error
}

func (w eventSelector) matchesEvent(e api.Event) bool { return w.name == "" || e.Cluster == w.name }

func (w eventSelector) listEvents(ctx context.Context, s *store.Store) ([]api.Event, error) {
	events, err := s.ListEvents(ctx, w.uid)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(events, func(e api.Event) bool { return !w.matchesEvent(e) })
	if w.name != "" && len(events) == 0 {
		return nil, w.notFound
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
		return s, eventSelector{name: cluster, notFound: err}, nil
	}
	return nil, eventSelector{}, err
}
