package store

import (
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// watchState holds the current state of a watch and the changes to send. It keeps encoded objects and decodes them for
// each change, so the receiver can modify them.
type watchState struct {
	store *Store
	// only is the cluster of a watch of one cluster, which also keeps machines. It is empty if all are watched.
	only     string
	clusters map[string]knownCluster
	names    map[string]string // of clusters, by UID
	machines map[string]api.Machine
	// unreadable are the keys of machines that cannot be decoded.
	unreadable map[string]bool
	// machinesAt is the revision up to which machines has every change.
	machinesAt int64
	queue      []pendingChange
	built      *ClusterChange // the head of queue, ready to send
}

// knownCluster is a cluster, encoded without drift and repairs. These are decoded once, because they can have an entry
// for each machine, and a change of each machine sends the cluster.
type knownCluster struct {
	uid     string
	kv      *mvccpb.KeyValue
	drift   []api.Drift
	repairs []api.Repair
}

// pendingChange is a change to send. A ClusterUpdated is built from the state when it is sent, so one is enough for
// many updates.
type pendingChange struct {
	kind      ClusterChangeType
	name, uid string
	last      *api.Cluster // of a ClusterDeleted
}

func newWatchState(s *Store, only string) *watchState {
	return &watchState{store: s, only: only, clusters: map[string]knownCluster{}, names: map[string]string{},
		machines: map[string]api.Machine{}, unreadable: map[string]bool{}}
}

// applySnapshot replaces the whole state. Clusters that are missing in it were deleted; all others are sent again.
func (v *watchState) applySnapshot(snap snapshot) {
	present := map[string]bool{}
	for _, kv := range snap.clusters {
		present[v.clusterName(kv.Key)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(v.clusters)) {
		if !present[name] {
			v.removeCluster(name)
		}
	}
	for _, kv := range snap.clusters {
		v.updateCluster(kv)
	}
	v.clearMachines()
	for _, kv := range snap.machines {
		v.updateMachine(kv, false)
	}
	v.machinesAt = snap.revision
}

// applyMachineChanges applies changes of a watch of machines. It ignores those that were read before.
func (v *watchState) applyMachineChanges(events []*clientv3.Event) {
	for _, e := range events {
		if e.Kv.ModRevision > v.machinesAt {
			v.applyChange(e)
		}
	}
	if n := len(events); n > 0 {
		v.machinesAt = max(v.machinesAt, events[n-1].Kv.ModRevision)
	}
}

func (v *watchState) clearMachines() {
	clear(v.machines)
	clear(v.unreadable)
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

// updateCluster stores the current state of a cluster.
func (v *watchState) updateCluster(kv *mvccpb.KeyValue) {
	c, corrupt := v.store.decodeCluster(kv)
	if corrupt != nil {
		return
	}
	name, uid := c.Metadata.Name, c.Metadata.UID
	if old, ok := v.clusters[name]; ok && old.uid != uid {
		v.removeCluster(name)
	}
	v.clusters[name] = knownCluster{uid: uid, kv: trimCluster(kv), drift: c.Status.Drift, repairs: c.Status.Repairs}
	v.names[uid] = name
	v.queueUpdate(name, uid)
}

// updateMachine stores or removes a machine. It ignores machines of clusters that are not watched.
func (v *watchState) updateMachine(kv *mvccpb.KeyValue, deleted bool) {
	uid := v.store.machineOwner(kv.Key)
	name, ok := v.names[uid]
	if !ok {
		return
	}
	if v.only != "" {
		v.keepMachine(kv, deleted)
	}
	v.queueUpdate(name, uid)
}

// keepMachine keeps the last known state of a machine whose new state cannot be decoded.
func (v *watchState) keepMachine(kv *mvccpb.KeyValue, deleted bool) {
	key := string(kv.Key)
	if deleted {
		delete(v.machines, key)
		delete(v.unreadable, key)
		return
	}
	m, corrupt := decodeMachine(kv)
	if corrupt == nil {
		v.machines[key] = m
		delete(v.unreadable, key)
	} else if _, known := v.machines[key]; !known {
		v.unreadable[key] = true
	}
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
	v.clearMachines()
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
	c.Status.Drift, c.Status.Repairs = slices.Clone(k.drift), slices.Clone(k.repairs)
	for _, key := range slices.Sorted(maps.Keys(v.machines)) {
		c.Status.Machines = append(c.Status.Machines, v.machines[key])
	}
	return c
}

// nextChange returns the next change to send, if there is one.
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

// dropSentChange removes the change that was sent.
func (v *watchState) dropSentChange() {
	v.queue = v.queue[1:]
	v.built = nil
}
