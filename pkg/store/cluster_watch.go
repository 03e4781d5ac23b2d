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
	"github.com/sky-shift/skyctl/pkg/await"
)

// ClusterChangeType is the kind of a ClusterChange.
type ClusterChangeType string

// ClusterUpdated has the current state of a cluster, ClusterDeleted its last known state.
const (
	ClusterUpdated ClusterChangeType = "Put"
	ClusterDeleted ClusterChangeType = "Delete"
)

// ClusterChange is the latest state of a cluster, or its deletion with the last known state. It has machines only if a
// single cluster is watched.
type ClusterChange struct {
	Type    ClusterChangeType
	Cluster *api.Cluster
}

// WatchClusters sends the state of a cluster, or of all clusters if name is empty, and then every change of them and of
// their machines. A slow reader may miss intermediate states, but never the last one or a deletion. The watch survives
// lost connections and compaction; the channel is closed when ctx ends. A single cluster that does not exist is a
// *NotFoundError. Objects that cannot be decoded are left out.
func (s *Store) WatchClusters(ctx context.Context, name string) (<-chan ClusterChange, error) {
	if name != "" {
		if err := checkKeyPart("cluster name", name); err != nil {
			return nil, err
		}
	}
	v := newWatchState(s, name)
	snap, err := s.readSnapshot(ctx, name)
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
	v.applySnapshot(snap)
	out := make(chan ClusterChange)
	go s.sendClusterChanges(ctx, v, snap.revision, out)
	return out, nil
}

// snapshot is the state at the start of a watch, of one revision: all clusters, or one with its machines.
type snapshot struct {
	clusters, machines []*mvccpb.KeyValue
	revision           int64
}

func (s *Store) readSnapshot(ctx context.Context, name string) (snapshot, error) {
	if name == "" {
		resp, err := s.etcd.Get(ctx, "listing clusters", s.keys.clustersPrefix(), clientv3.WithPrefix())
		if err != nil {
			return snapshot{}, err
		}
		return snapshot{clusters: resp.Kvs, revision: resp.Header.Revision}, nil
	}
	doing := fmt.Sprintf("reading cluster %q", name)
	for {
		resp, err := s.etcd.Get(ctx, doing, s.keys.clusterKey(name))
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
		machines, err := s.etcd.Get(ctx, doing, s.keys.machinesPrefix(c.Metadata.UID), clientv3.WithPrefix(),
			clientv3.WithRev(snap.revision))
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // the revision was compacted: use a newer one
		}
		if err != nil {
			return snapshot{}, err
		}
		snap.machines = machines.Kvs
		return snap, nil
	}
}

// sendClusterChanges applies changes to the watch state and sends its pending changes to out, until ctx ends.
func (s *Store) sendClusterChanges(ctx context.Context, v *watchState, revision int64, out chan<- ClusterChange) {
	defer close(out)
	for ctx.Err() == nil {
		s.followChanges(ctx, v, revision, out)
		// The stream ended: the revision is compacted, or the server went away. Read the whole state again.
		for attempt := 0; ctx.Err() == nil; attempt++ {
			snap, err := s.readSnapshot(ctx, v.only)
			if err == nil {
				v.applySnapshot(snap)
				revision = snap.revision
				break
			}
			_ = await.Pause(ctx, watchRetryDelay(attempt))
		}
	}
}

// watchRetryDelay is the pause before the next attempt to read the changes that a broken watch missed.
func watchRetryDelay(attempt int) time.Duration {
	return min(time.Duration(attempt+1)*100*time.Millisecond, 2*time.Second)
}

// followChanges returns when the stream of changes ends.
func (s *Store) followChanges(ctx context.Context, v *watchState, revision int64, out chan<- ClusterChange) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	end := clientv3.GetPrefixRangeEnd(s.keys.allMachinesPrefix())
	changes := s.etcd.Watch(ctx, s.keys.clustersPrefix(), clientv3.WithRange(end), clientv3.WithRev(revision+1))
	for {
		var send chan<- ClusterChange
		next, pending := v.nextChange()
		if pending {
			send = out
		}
		select {
		case <-ctx.Done():
			return
		case send <- next:
			v.dropSentChange()
		case resp, ok := <-changes:
			if !ok || resp.Err() != nil {
				return
			}
			for _, e := range resp.Events {
				v.applyChange(e)
			}
		}
	}
}
