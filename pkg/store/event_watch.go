package store

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
)

// WatchEvents sends the events of a cluster, or all events if uid is empty: first the stored ones in the order of
// ListEvents, then each event when it happens or is repeated. The watch survives lost connections and sends nothing
// twice; a slow reader gets several repetitions as one. The channel is closed when ctx ends.
func (s *Store) WatchEvents(ctx context.Context, uid string) (<-chan api.Event, error) {
	w := &eventWatch{store: s, prefix: s.selectEventsPrefix(uid)}
	if err := w.catchUp(ctx); err != nil {
		return nil, err
	}
	out := make(chan api.Event)
	go w.sendEvents(ctx, out)
	return out, nil
}

// eventWatch holds the events to send, and the revision of etcd up to which all events were read.
type eventWatch struct {
	store    *Store
	prefix   string
	queue    []queuedEvent
	revision int64
}

type queuedEvent struct {
	key   string
	event api.Event
}

// catchUp reads the events that were written after the last revision that was read.
func (w *eventWatch) catchUp(ctx context.Context) error {
	resp, err := w.store.etcd.Get(ctx, "reading events", w.prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	if resp.Header.Revision < w.revision {
		w.revision = 0 // a new etcd, of which nothing was read yet
	}
	var fresh []queuedEvent
	for _, kv := range resp.Kvs {
		if e, corrupt := decodeEvent(kv); corrupt == nil && kv.ModRevision > w.revision {
			fresh = append(fresh, queuedEvent{string(kv.Key), e})
		}
	}
	slices.SortStableFunc(fresh, func(a, b queuedEvent) int { return compareEventTimes(a.event, b.event) })
	for _, next := range fresh {
		w.queueEvent(next)
	}
	w.revision = resp.Header.Revision
	return nil
}

func (w *eventWatch) queueEvent(next queuedEvent) {
	w.queue = slices.DeleteFunc(w.queue, func(old queuedEvent) bool { return old.key == next.key })
	w.queue = append(w.queue, next)
}

func (w *eventWatch) acceptChange(kv *mvccpb.KeyValue) {
	if e, corrupt := decodeEvent(kv); corrupt == nil {
		w.queueEvent(queuedEvent{string(kv.Key), e})
	}
}

// sendEvents sends events until ctx ends.
func (w *eventWatch) sendEvents(ctx context.Context, out chan<- api.Event) {
	defer close(out)
	for ctx.Err() == nil {
		w.followChanges(ctx, out)
		// The stream ended: the revision is compacted, or the server went away.
		for attempt := 0; ctx.Err() == nil && w.catchUp(ctx) != nil; attempt++ {
			_ = await.Pause(ctx, watchRetryDelay(attempt))
		}
	}
}

// followChanges returns when the stream of changes ends.
func (w *eventWatch) followChanges(ctx context.Context, out chan<- api.Event) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := w.store.etcd.Watch(ctx, w.prefix, clientv3.WithPrefix(), clientv3.WithRev(w.revision+1),
		clientv3.WithFilterDelete())
	for {
		var send chan<- api.Event
		var next api.Event
		if len(w.queue) > 0 {
			send, next = out, w.queue[0].event
		}
		select {
		case <-ctx.Done():
			return
		case send <- next:
			w.queue = w.queue[1:]
		case resp, ok := <-changes:
			if !ok || resp.Err() != nil {
				return
			}
			for _, e := range resp.Events {
				w.acceptChange(e.Kv)
				w.revision = e.Kv.ModRevision
			}
		}
	}
}
