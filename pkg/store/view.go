package store

import (
	"maps"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// view is what a watch knows of the world and has still to tell. It holds objects as etcd has them and decodes each
// anew for telling, so that whoever is told may do with it as he likes.
type view struct {
	store *Store
	// only is the one cluster that is watched; its machines are kept too.
	only     string
	clusters map[string]shown
	names    map[string]string // of clusters, by UID
	machines map[string]api.Machine
	queue    []pending
	built    *Event // the head of queue, ready to be told
}

type shown struct {
	uid string
	kv  *mvccpb.KeyValue
}

// pending is an event to come. A Put is made of the state at the time it is told, so one is enough for many changes.
type pending struct {
	kind      EventType
	name, uid string
	last      *api.Cluster // of a Delete
}

func newView(s *Store, only string) *view {
	return &view{store: s, only: only, clusters: map[string]shown{}, names: map[string]string{}, machines: map[string]api.Machine{}}
}

// reset takes over a whole state: what is no longer there has ended, all else is told again.
func (v *view) reset(snap snapshot) {
	there := map[string]bool{}
	for _, kv := range snap.clusters {
		there[v.name(kv.Key)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(v.clusters)) {
		if !there[name] {
			v.gone(name)
		}
	}
	for _, kv := range snap.clusters {
		v.stands(kv)
	}
	clear(v.machines)
	for _, kv := range snap.machines {
		v.machine(kv, false)
	}
}

func (v *view) apply(e *clientv3.Event) {
	deleted := e.Type == clientv3.EventTypeDelete
	key := string(e.Kv.Key)
	switch {
	case strings.HasPrefix(key, v.store.keys.allMachines()):
		v.machine(e.Kv, deleted)
	case !strings.HasPrefix(key, v.store.keys.clusters()):
	case v.only != "" && v.name(e.Kv.Key) != v.only:
	case deleted:
		v.gone(v.name(e.Kv.Key))
	default:
		v.stands(e.Kv)
	}
}

func (v *view) name(key []byte) string {
	return strings.TrimPrefix(string(key), v.store.keys.clusters())
}

// stands notes a cluster as it is now.
func (v *view) stands(kv *mvccpb.KeyValue) {
	c, corrupt := v.store.decodeCluster(kv)
	if corrupt != nil {
		return
	}
	name, uid := c.Metadata.Name, c.Metadata.UID
	if old, ok := v.clusters[name]; ok && old.uid != uid {
		v.gone(name)
	}
	v.clusters[name] = shown{uid: uid, kv: kv}
	v.names[uid] = name
	v.changed(name, uid)
}

// machine notes a machine; those of clusters that aren't known belong to nobody who is watched.
func (v *view) machine(kv *mvccpb.KeyValue, deleted bool) {
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
	v.changed(name, uid)
}

func (v *view) changed(name, uid string) {
	v.built = nil
	isThis := func(p pending) bool { return p.kind == Put && p.name == name && p.uid == uid }
	if !slices.ContainsFunc(v.queue, isThis) {
		v.queue = append(v.queue, pending{kind: Put, name: name, uid: uid})
	}
}

func (v *view) gone(name string) {
	old, ok := v.clusters[name]
	if !ok {
		return
	}
	v.built = nil
	last := v.build(old)
	delete(v.clusters, name)
	delete(v.names, old.uid)
	clear(v.machines)
	v.queue = slices.DeleteFunc(v.queue, func(p pending) bool { return p.kind == Put && p.uid == old.uid })
	v.queue = append(v.queue, pending{kind: Delete, name: name, uid: old.uid, last: last})
}

func (v *view) build(k shown) *api.Cluster {
	c, corrupt := v.store.decodeCluster(k.kv)
	if corrupt != nil { // it was decoded before
		return &api.Cluster{Metadata: api.Metadata{Name: v.name(k.kv.Key), UID: k.uid}}
	}
	for _, key := range slices.Sorted(maps.Keys(v.machines)) {
		c.Status.Machines = append(c.Status.Machines, v.machines[key])
	}
	return c
}

// next is the event to be told, if there is one.
func (v *view) next() (Event, bool) {
	if len(v.queue) == 0 {
		return Event{}, false
	}
	if v.built == nil {
		head := v.queue[0]
		v.built = &Event{Type: head.kind, Cluster: head.last}
		if head.kind == Put {
			v.built.Cluster = v.build(v.clusters[head.name])
		}
	}
	return *v.built, true
}

// sent takes the event off that was told.
func (v *view) sent() {
	v.queue = v.queue[1:]
	v.built = nil
}
