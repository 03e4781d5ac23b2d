package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// EventType is what happened to a cluster.
type EventType string

// Put says how a cluster stands now, Delete that it is gone.
const (
	Put    EventType = "Put"
	Delete EventType = "Delete"
)

// Event is the latest state of a cluster, or its end. Where one cluster is watched its machines are joined. A deleted
// cluster is shown as it was last known.
type Event struct {
	Type    EventType
	Cluster *api.Cluster
}

// Watch tells of a cluster, or of all where name is empty: first how they stand, then every change of them and of
// their machines. Who reads slowly misses states in between, never the last one, and never an end. It goes on across
// lost connections and compaction; the channel is closed when ctx ends. A single cluster that isn't there is a
// *NotFoundError. Objects that can't be understood are left out.
func (s *Store) Watch(ctx context.Context, name string) (<-chan Event, error) {
	if name != "" {
		if err := checkPart("cluster name", name); err != nil {
			return nil, err
		}
	}
	v := newView(s, name)
	snap, err := s.snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	if name != "" {
		if len(snap.clusters) == 0 {
			return nil, &NotFoundError{Cluster: name}
		}
		if _, corrupt := s.decodeCluster(snap.clusters[0]); corrupt != nil {
			return nil, corrupt
		}
	}
	v.reset(snap)
	out := make(chan Event)
	go s.watch(ctx, v, snap.revision, out)
	return out, nil
}

// snapshot is what a watch begins with, as it lies in etcd at one moment: all clusters, or one with its machines.
type snapshot struct {
	clusters, machines []*mvccpb.KeyValue
	revision           int64
}

func (s *Store) snapshot(ctx context.Context, name string) (snapshot, error) {
	if name == "" {
		resp, err := s.get(ctx, "listing clusters", s.keys.clusters(), clientv3.WithPrefix())
		if err != nil {
			return snapshot{}, err
		}
		return snapshot{clusters: resp.Kvs, revision: resp.Header.Revision}, nil
	}
	doing := fmt.Sprintf("reading cluster %q", name)
	for {
		resp, err := s.get(ctx, doing, s.keys.cluster(name))
		if err != nil {
			return snapshot{}, err
		}
		snap := snapshot{clusters: resp.Kvs, revision: resp.Header.Revision}
		if len(resp.Kvs) == 0 {
			return snap, nil
		}
		c, corrupt := s.decodeCluster(resp.Kvs[0])
		if corrupt != nil {
			return snap, nil
		}
		of, err := s.get(ctx, doing, s.keys.machines(c.Metadata.UID), clientv3.WithPrefix(), clientv3.WithRev(snap.revision))
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // the moment has gone by: take another
		}
		if err != nil {
			return snapshot{}, err
		}
		snap.machines = of.Kvs
		return snap, nil
	}
}

// watch feeds changes into the view and what the view has to tell into out, until ctx ends.
func (s *Store) watch(ctx context.Context, v *view, revision int64, out chan<- Event) {
	defer close(out)
	for ctx.Err() == nil {
		s.follow(ctx, v, revision, out)
		// The stream ended: the revision is compacted, or the server went away. Take the whole state anew.
		for attempt := 0; ctx.Err() == nil; attempt++ {
			snap, err := s.snapshot(ctx, v.only)
			if err == nil {
				v.reset(snap)
				revision = snap.revision
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(min(time.Duration(attempt+1)*100*time.Millisecond, 2*time.Second)):
			}
		}
	}
}

// follow returns when the stream of changes ends.
func (s *Store) follow(ctx context.Context, v *view, revision int64, out chan<- Event) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	end := clientv3.GetPrefixRangeEnd(s.keys.allMachines())
	changes := s.client.Watch(ctx, s.keys.clusters(), clientv3.WithRange(end), clientv3.WithRev(revision+1))
	for {
		var send chan<- Event
		next, any := v.next()
		if any {
			send = out
		}
		select {
		case <-ctx.Done():
			return
		case send <- next:
			v.sent()
		case resp, ok := <-changes:
			if !ok || resp.Err() != nil {
				return
			}
			for _, e := range resp.Events {
				v.apply(e)
			}
		}
	}
}
