package store

import (
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// watchState is what a watch knows of the world and has still to tell. It holds objects as etcd has them and decodes
// each anew for telling, so that whoever is told may do with it as he likes.
type watchState struct {
	store *Store
	// only is the one cluster that is watched; its machines are kept too.
	only     string
	clusters map[string]knownCluster
	names    map[string]string // of clusters, by UID
	machines map[string]api.Machine
	queue    []pendingChange
	built    *ClusterChange // the head of queue, ready to be told
}

type knownCluster struct {
	uid string
	kv  *mvccpb.KeyValue
}

// pendingChange is an event to come. A Put is made of the state at the time it is told, so one is enough for many
// changes.
type pendingChange struct {
	kind      ClusterChangeType
	name, uid string
	last      *api.Cluster // of a Delete
}

func newWatchState(s *Store, only string) *watchState {
	return &watchState{store: s, only: only, clusters: map[string]knownCluster{}, names: map[string]string{},
		machines: map[string]api.Machine{}}
}

// applySnapshot takes over a whole state: what is no longer there has ended, all else is told again.
func (v *watchState) applySnapshot(snap snapshot) {
	there := map[string]bool{}
	for _, kv := range snap.clusters {
		there[v.clusterName(kv.Key)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(v.clusters)) {
		if !there[name] {
			v.removeCluster(name)
		}
	}
	for _, kv := range snap.clusters {
		v.updateCluster(kv)
	}
	clear(v.machines)
	for _, kv := range snap.machines {
		v.updateMachine(kv, false)
	}
}

func (v *watchState) applyChange(e *clientv3.Event) {
	deleted := e.Type == clientv3.EventTypeDelete
	key := string(e.Kv.Key)
	switch {
	case strings.HasPrefix(key, v.store.keys.allMachinesPrefix()):
		v.updateMachine(e.Kv, deleted)
	case !strings.HasPrefix(key, v.store.keys.clustersPrefix()):
	case v.only != "" && v.clusterName(e.Kv.Key) != v.only:
	case deleted:
		v.removeCluster(v.clusterName(e.Kv.Key))
	default:
		v.updateCluster(e.Kv)
	}
}

func (v *watchState) clusterName(key []byte) string {
	return strings.TrimPrefix(string(key), v.store.keys.clustersPrefix())
}

// updateCluster notes a cluster as it is now.
func (v *watchState) updateCluster(kv *mvccpb.KeyValue) {
	c, corrupt := v.store.decodeCluster(kv)
	if corrupt != nil {
		return
	}
	name, uid := c.Metadata.Name, c.Metadata.UID
	if old, ok := v.clusters[name]; ok && old.uid != uid {
		v.removeCluster(name)
	}
	v.clusters[name] = knownCluster{uid: uid, kv: kv}
	v.names[uid] = name
	v.queueUpdate(name, uid)
}

// updateMachine notes a machine; those of clusters that aren't known belong to nobody who is watched.
func (v *watchState) updateMachine(kv *mvccpb.KeyValue, deleted bool) {
	uid := v.store.machineOwner(kv.Key)
	name, ok := v.names[uid]
	if !ok {
		return
	}
	if v.only != "" {
		if deleted {
			delete(v.machines, string(kv.Key))
		} else if m, corrupt := decodeMachine(kv); corrupt == nil {
			v.machines[string(kv.Key)] = m
		}
	}
	v.queueUpdate(name, uid)
}

func (v *watchState) queueUpdate(name, uid string) {
	v.built = nil
	isThis := func(p pendingChange) bool { return p.kind == ClusterUpdated && p.name == name && p.uid == uid }
	if !slices.ContainsFunc(v.queue, isThis) {
		v.queue = append(v.queue, pendingChange{kind: ClusterUpdated, name: name, uid: uid})
	}
}

func (v *watchState) removeCluster(name string) {
	old, ok := v.clusters[name]
	if !ok {
		return
	}
	v.built = nil
	last := v.buildCluster(old)
	delete(v.clusters, name)
	delete(v.names, old.uid)
	clear(v.machines)
	v.queue = slices.DeleteFunc(v.queue, func(p pendingChange) bool {
		return p.kind == ClusterUpdated && p.uid == old.uid
	})
	v.queue = append(v.queue, pendingChange{kind: ClusterDeleted, name: name, uid: old.uid, last: last})
}

func (v *watchState) buildCluster(k knownCluster) *api.Cluster {
	c, corrupt := v.store.decodeCluster(k.kv)
	if corrupt != nil { // it was decoded before
		return &api.Cluster{Metadata: api.Metadata{Name: v.clusterName(k.kv.Key), UID: k.uid}}
	}
	for _, key := range slices.Sorted(maps.Keys(v.machines)) {
		c.Status.Machines = append(c.Status.Machines, v.machines[key])
	}
	return c
}

// nextChange is the event to be told, if there is one.
func (v *watchState) nextChange() (ClusterChange, bool) {
	if len(v.queue) == 0 {
		return ClusterChange{}, false
	}
	if v.built == nil {
		head := v.queue[0]
		v.built = &ClusterChange{Type: head.kind, Cluster: head.last}
		if head.kind == ClusterUpdated {
			v.built.Cluster = v.buildCluster(v.clusters[head.name])
		}
	}
	return *v.built, true
}

// dropSentChange takes the event off that was told.
func (v *watchState) dropSentChange() {
	v.queue = v.queue[1:]
	v.built = nil
}
