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
	"github.com/sky-shift/skyctl/pkg/store/etcd"
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
	changes, machineChanges := s.watchKeys(ctx, v, revision)
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
				if v.only != "" {
					var err error
					if machineChanges, err = s.alignMachines(ctx, v, e, machineChanges); err != nil {
						return
					}
				}
				v.applyChange(e)
			}
		case resp, ok := <-machineChanges:
			if !ok || resp.Err() != nil {
				return
			}
			kept, err := s.isClusterKept(ctx, v, resp.Events)
			if err != nil {
				return
			}
			if !kept {
				machineChanges = nil // the deletion of the cluster, with these machines, comes next
				continue
			}
			v.applyMachineChanges(resp.Events)
		}
	}
}

// watchKeys starts a watch of all clusters and machines, in their order. For one cluster it starts a watch of its
// object and another one of its machines, because those of other clusters can be many.
func (s *Store) watchKeys(ctx context.Context, v *watchState, revision int64) (changes,
	machineChanges clientv3.WatchChan) {
	if v.only == "" {
		end := clientv3.GetPrefixRangeEnd(s.keys.allMachinesPrefix())
		return s.etcd.Watch(ctx, s.keys.clustersPrefix(), clientv3.WithRange(end), clientv3.WithRev(revision+1)), nil
	}
	if c, ok := v.clusters[v.only]; ok {
		machineChanges = s.watchMachines(ctx, c.uid, revision)
	}
	return s.etcd.Watch(ctx, s.keys.clusterKey(v.only), clientv3.WithRev(revision+1)), machineChanges
}

func (s *Store) watchMachines(ctx context.Context, uid string, revision int64) clientv3.WatchChan {
	return s.etcd.Watch(ctx, s.keys.machinesPrefix(uid), clientv3.WithPrefix(), clientv3.WithRev(revision+1))
}

// alignMachines makes the machines of a watched cluster as new as a change of its object, before that is applied: the
// two watches are not ordered, and a cluster must not be READY with machines that are not. It returns the watch of
// machines, which is another one for a new cluster with the name.
func (s *Store) alignMachines(ctx context.Context, v *watchState, e *clientv3.Event,
	machineChanges clientv3.WatchChan) (clientv3.WatchChan, error) {
	if e.Type == clientv3.EventTypeDelete {
		return nil, nil
	}
	c, corrupt := s.decodeCluster(e.Kv)
	if corrupt != nil { // it is left out
		return machineChanges, nil
	}
	revision := e.Kv.ModRevision
	if known, ok := v.clusters[v.only]; !ok || known.uid != c.Metadata.UID {
		v.machinesAt = revision // it was created without machines
		return s.watchMachines(ctx, c.Metadata.UID, revision), nil
	}
	if revision <= v.machinesAt {
		return machineChanges, nil
	}
	prefix := s.keys.machinesPrefix(c.Metadata.UID)
	resp, err := s.etcd.Commit(ctx, fmt.Sprintf("reading the machines of cluster %q", v.only), nil, []clientv3.Op{
		clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithRev(revision),
			clientv3.WithMinModRev(v.machinesAt+1)),
		clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithRev(revision), clientv3.WithCountOnly()),
	}, nil)
	if err != nil {
		return nil, err
	}
	for _, kv := range etcd.RangeResult(resp, 0) {
		v.updateMachine(kv, false)
	}
	v.machinesAt = revision
	if resp.Responses[1].GetResponseRange().GetCount() != int64(len(v.machines)+len(v.unreadable)) {
		return nil, errMachinesDeleted
	}
	return machineChanges, nil
}

// errMachinesDeleted says that machines were deleted, so that all have to be read again.
var errMachinesDeleted = errors.New("machines were deleted")

// isClusterKept reports whether a watched cluster outlives the deletion of its machines. If it was deleted with them,
// its last state has these machines.
func (s *Store) isClusterKept(ctx context.Context, v *watchState, machineChanges []*clientv3.Event) (bool, error) {
	for _, e := range machineChanges {
		if e.Type != clientv3.EventTypeDelete {
			continue
		}
		resp, err := s.etcd.Get(ctx, fmt.Sprintf("reading cluster %q", v.only), s.keys.clusterKey(v.only),
			clientv3.WithCountOnly(), clientv3.WithRev(e.Kv.ModRevision))
		if err != nil || resp.Count == 0 {
			return false, err
		}
	}
	return true, nil
}
