package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// InstallationEvents stands for the UID of those events that have none: they are about the whole installation, or about
// an object that nobody can read.
const InstallationEvents = "installation"

const (
	// eventRetention is how long an event is kept after it happened for the last time.
	eventRetention = 7 * 24 * time.Hour
	// leaseSharedFor is how long one lease is given to all events that are written; it lives that much longer than they
	// must.
	leaseSharedFor = time.Hour
	// maxEvents of a cluster are kept; the ones that happened longest ago go first.
	maxEvents = 200
	// maxEventMessage bounds what is kept of a message, in bytes.
	maxEventMessage = 2 << 10
)

// RecordEvent keeps an event for some days after it last happened, also when its cluster is forgotten before. One that
// says the same as another (cluster, machine, reason and message) is that one, happened once more. Times that are not
// set are now.
func (s *Store) RecordEvent(ctx context.Context, e api.Event) error {
	doing := fmt.Sprintf("recording event %s of cluster %q", e.Reason, e.Cluster)
	completeEvent(&e)
	key := s.keys.eventsPrefix(e.UID) + hashEvent(e)
	return etcd.RetryConflicts(ctx, doing, func() (bool, error) {
		resp, err := s.etcd.Get(ctx, doing, key)
		if err != nil {
			return false, err
		}
		next, revision := e, int64(0)
		if len(resp.Kvs) > 0 {
			revision = resp.Kvs[0].ModRevision
			if before, corrupt := decodeEvent(resp.Kvs[0]); corrupt == nil {
				next = mergeRepeatedEvent(before, e)
			}
		}
		return s.putEvent(ctx, doing, key, revision, next)
	})
}

// completeEvent fills in what a new event may leave open.
func completeEvent(e *api.Event) {
	if e.Last.IsZero() {
		e.Last = time.Now().UTC()
	}
	if e.First.IsZero() {
		e.First = e.Last
	}
	e.Count = max(e.Count, 1)
	if len(e.Message) > maxEventMessage {
		e.Message = strings.ToValidUTF8(e.Message[:maxEventMessage], "") + " …"
	}
}

// mergeRepeatedEvent is an event that has happened once more.
func mergeRepeatedEvent(before, now api.Event) api.Event {
	now.Count += before.Count
	if before.First.Before(now.First) {
		now.First = before.First
	}
	if before.Last.After(now.Last) {
		now.Last = before.Last
	}
	return now
}

// hashEvent is equal for events that say the same.
func hashEvent(e api.Event) string {
	h := sha256.New()
	for _, part := range []string{e.UID, e.Cluster, e.Machine, e.Reason, e.Message} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// putEvent says whether the event was stored: it is not where the key was written since that revision; 0 is never.
func (s *Store) putEvent(ctx context.Context, doing, key string, revision int64, e api.Event) (bool, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	all := s.keys.eventsPrefix(e.UID)
	for renewed := false; ; renewed = true {
		lease, err := s.ensureEventLease(ctx, doing)
		if err != nil {
			return false, err
		}
		resp, err := s.etcd.Commit(ctx, doing,
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", revision)},
			[]clientv3.Op{
				clientv3.OpPut(key, string(value), clientv3.WithLease(lease)),
				clientv3.OpGet(all, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			}, nil)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) && !renewed {
			s.leases.forgetLease(lease) // somebody revoked it, or etcd was set up anew
			continue
		}
		if err != nil || !resp.Succeeded {
			return false, err
		}
		if n := resp.Responses[1].GetResponseRange().GetCount(); n > maxEvents {
			return true, s.pruneEvents(ctx, doing, all, n-maxEvents)
		}
		return true, nil
	}
}

// pruneEvents forgets the n events that were written longest ago.
func (s *Store) pruneEvents(ctx context.Context, doing, all string, n int64) error {
	resp, err := s.etcd.Get(ctx, doing, all, clientv3.WithPrefix(), clientv3.WithKeysOnly(),
		clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortAscend), clientv3.WithLimit(n))
	if err != nil {
		return err
	}
	var ops []clientv3.Op
	for _, kv := range resp.Kvs {
		ops = append(ops, clientv3.OpDelete(string(kv.Key)))
	}
	_, err = s.etcd.Commit(ctx, doing, nil, etcd.GroupOps(ops), nil)
	return err
}

// ensureEventLease is what ends the events of an hour. All of a process share one, for etcd keeps each lease in memory.
type eventLease struct {
	mu    sync.Mutex
	id    clientv3.LeaseID
	until time.Time
}

func (l *eventLease) forgetLease(id clientv3.LeaseID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id == id {
		l.until = time.Time{}
	}
}

func (s *Store) ensureEventLease(ctx context.Context, doing string) (clientv3.LeaseID, error) {
	l := &s.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.until) {
		return l.id, nil
	}
	id, err := s.etcd.Grant(ctx, doing, eventRetention+leaseSharedFor)
	if err != nil {
		return 0, err
	}
	l.id, l.until = id, time.Now().Add(leaseSharedFor)
	return l.id, nil
}

// ListEvents returns the events of a cluster, or all where uid is empty, those that happened last at the end. With
// InstallationEvents they are those of no cluster. What can't be understood is left out.
func (s *Store) ListEvents(ctx context.Context, uid string) ([]api.Event, error) {
	resp, err := s.etcd.Get(ctx, "reading events", s.selectEventsPrefix(uid), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	events, _ := decodeAll(resp.Kvs, decodeEvent)
	slices.SortStableFunc(events, compareEventTimes)
	return events, nil
}

// selectEventsPrefix is where to read the events of a cluster, or all.
func (s *Store) selectEventsPrefix(uid string) string {
	if uid == "" {
		return s.keys.allEventsPrefix()
	}
	return s.keys.eventsPrefix(uid)
}

func compareEventTimes(a, b api.Event) int {
	return cmp.Or(a.Last.Compare(b.Last), a.First.Compare(b.First), cmp.Compare(a.Machine, b.Machine),
		cmp.Compare(a.Reason, b.Reason))
}

func decodeEvent(kv *mvccpb.KeyValue) (api.Event, *CorruptError) {
	var e api.Event
	if err := json.Unmarshal(kv.Value, &e); err != nil {
		return e, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("no event: %w", err)}
	}
	return e, nil
}
