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

// InstallationEvents is the UID of events without a cluster UID: they are about the installation, or about an
// unreadable object.
const InstallationEvents = "installation"

const (
	// eventRetention is how long an event is kept after it last happened.
	eventRetention = 7 * 24 * time.Hour
	// leaseSharedFor is how long new events share one lease. The lease lives that much longer than eventRetention.
	leaseSharedFor = time.Hour
	// maxEvents is the number of events kept per cluster. The oldest are deleted first.
	maxEvents = 200
	// maxEventMessage is the length to which messages are cut, in bytes.
	maxEventMessage = 2 << 10
)

// RecordEvent stores an event until eventRetention after it last happened, even if its cluster is deleted before. An
// event with the same cluster, machine, reason and message as a stored one increases that event's count. Times that are
// not set are now.
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

// completeEvent sets the defaults of a new event.
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

// mergeRepeatedEvent merges a repetition of an event into the stored one.
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

// hashEvent is equal for repetitions of an event.
func hashEvent(e api.Event) string {
	h := sha256.New()
	for _, part := range []string{e.UID, e.Cluster, e.Machine, e.Reason, e.Message} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// putEvent stores an event if the key was not written after revision; 0 means that the key does not exist. It reports
// whether the event was stored.
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
			s.leases.forgetLease(lease) // it was revoked, or etcd was replaced
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

// pruneEvents deletes the n events that were written first.
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

// eventLease is the lease of the events of an hour. A process has one at a time, because etcd keeps leases in memory.
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

// ListEvents returns the events of a cluster, or all events if uid is empty, with the latest at the end. With
// InstallationEvents it returns those without a cluster. Events that cannot be decoded are left out.
func (s *Store) ListEvents(ctx context.Context, uid string) ([]api.Event, error) {
	resp, err := s.etcd.Get(ctx, "reading events", s.selectEventsPrefix(uid), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	events, _ := decodeAll(resp.Kvs, decodeEvent)
	slices.SortStableFunc(events, compareEventTimes)
	return events, nil
}

// selectEventsPrefix returns the key prefix of the events of a cluster, or of all events.
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
		return e, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("invalid event: %w", err)}
	}
	return e, nil
}
