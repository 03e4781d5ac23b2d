package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// maxComparedMachines bounds the machines whose revisions one transaction compares: etcd allows 128 comparisons.
const maxComparedMachines = 100

// UpdateSpec changes what a person asks for: the spec of a cluster, and Leaving and ReplaceAsked of its machines, in
// one step. change sees the cluster with its machines, may be called several times, and may change Status too;
// UpdateSpec increases the generation if the spec changed. Writes of the status by others make it start again. If the
// spec has another generation than the one that the person has seen, the error is a *SpecConflictError; if the
// cluster's phase allows no change, it is an *UnchangeableError. Errors of change are returned as they are.
func (s *Store) UpdateSpec(ctx context.Context, ref api.Ref, generation int64,
	change func(*api.Cluster) error) (*api.Cluster, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	u := specUpdate{Store: s, ref: ref, generation: generation, change: change,
		doing: fmt.Sprintf("changing the spec of cluster %q", ref.Name)}
	for attempt := 0; ; attempt++ {
		err := etcd.RetryConflicts(ctx, u.doing, func() (bool, error) { return u.try(ctx) })
		switch silent := new(UnavailableError); {
		case err == nil:
			return u.result, nil
		case u.unsure == nil:
			return nil, err
		case attempt == answerRetries || !errors.As(err, &silent):
			return nil, u.explainUnsure(err)
		}
	}
}

// answerRetries is how often UpdateSpec asks again, each time for etcd's usual deadline, after the answer to a write
// was lost. What was written must not be reported as failed.
const answerRetries = 3

// explainUnsure adds to an error that etcd may have carried out the write before.
func (u *specUpdate) explainUnsure(err error) error {
	if conflict := new(SpecConflictError); errors.As(err, &conflict) {
		if conflict.Current == u.unsure.Metadata.Generation {
			return err // another one's write came first
		}
		return fmt.Errorf("it is unknown whether the change is recorded: etcd's answer was lost, and the cluster was "+
			"changed since (its generation is %d, not %d). To see it: skyctl describe cluster %s", conflict.Current,
			conflict.Seen, u.ref.Name)
	}
	return fmt.Errorf("it is unknown whether the change is recorded; to see it: skyctl describe cluster %s: %w",
		u.ref.Name, err)
}

// answerGrace is how long UpdateSpec waits for the answer to its write after its caller has given up.
const answerGrace = 5 * time.Second

// specUpdate is one call of UpdateSpec.
type specUpdate struct {
	*Store
	ref        api.Ref
	generation int64
	change     func(*api.Cluster) error
	doing      string

	result *api.Cluster
	// unsure is what was sent to etcd without an answer.
	unsure *api.Cluster
}

// try reads the cluster, changes it, and writes what changed. It returns false if that was written in the meantime.
func (u *specUpdate) try(ctx context.Context) (bool, error) {
	c, kv, machines, err := u.read(ctx)
	if err != nil {
		return false, err
	}
	if u.unsure != nil && isSameRequest(c, u.unsure) {
		u.result = c
		return true, nil
	}
	if c.Metadata.Generation != u.generation {
		return false, &SpecConflictError{Cluster: u.ref.Name, Seen: u.generation, Current: c.Metadata.Generation}
	}
	if why := c.RefuseSpecChange(); why != "" {
		return false, &UnchangeableError{Cluster: u.ref.Name, Phase: c.Status.Phase, Why: why}
	}
	before, metadata := c.Spec.Clone(), c.Metadata
	metadata.Labels = maps.Clone(metadata.Labels)
	if err := u.change(c); err != nil {
		return false, err
	}
	if !reflect.DeepEqual(before, c.Spec) || !maps.Equal(metadata.Labels, c.Metadata.Labels) {
		c.Metadata.Generation++
	}
	when, then, err := u.collectMachineWrites(c, machines)
	if err != nil {
		return false, err
	}
	value, err := encodeCluster(c)
	if err != nil {
		return false, err
	}
	u.result = c
	if len(then) == 0 && reflect.DeepEqual(metadata, c.Metadata) {
		return true, nil // the person asks for what is there
	}
	key := string(kv.Key)
	when = append(when, clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision))
	// Once the write is sent, its answer decides.
	sent, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(answerGrace, cancel) })()
	resp, err := u.etcd.Commit(sent, u.doing, when,
		etcd.GroupOps(append(then, clientv3.OpPut(key, string(value)))), nil)
	if err != nil {
		u.unsure = c
		return false, err
	}
	c.Metadata.Revision = resp.Header.Revision
	return resp.Succeeded, nil
}

// isSameRequest reports whether a cluster that was read has the spec and the labels of another one, and its marks on
// machines.
func isSameRequest(c, sent *api.Cluster) bool {
	asked := func(c *api.Cluster) any { return []any{c.Spec, c.Metadata.Labels, c.Metadata.LastApplied} }
	a, errA := json.Marshal(asked(c))
	b, errB := json.Marshal(asked(sent))
	if errA != nil || errB != nil || !bytes.Equal(a, b) || c.Metadata.Generation != sent.Metadata.Generation {
		return false
	}
	for _, m := range sent.Status.Machines {
		now := c.FindMachine(m.Name)
		if now != nil && now.Incarnation == m.Incarnation &&
			(now.Leaving != m.Leaving || now.ReplaceAsked != m.ReplaceAsked) {
			return false
		}
	}
	return true
}

// read returns the cluster with its machines, of one revision, and their keys.
func (u *specUpdate) read(ctx context.Context) (*api.Cluster, *mvccpb.KeyValue, []*mvccpb.KeyValue, error) {
	resp, err := u.etcd.Commit(ctx, u.doing, nil, []clientv3.Op{
		clientv3.OpGet(u.keys.clusterKey(u.ref.Name)),
		clientv3.OpGet(u.keys.machinesPrefix(u.ref.UID), clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	kv := etcd.FirstKV(resp, 0)
	c, err := u.decodeClusterByRef(u.ref, kv)
	if err != nil {
		return nil, nil, nil, err
	}
	kvs := etcd.RangeResult(resp, 1)
	machines, bad := decodeMachines(kvs)
	if err := joinCorruptErrors(bad); err != nil {
		return nil, nil, nil, err
	}
	c.Status.Machines = machines
	return c, kv, kvs, nil
}

// collectMachineWrites returns the writes of the machines that change has marked, and the condition that nobody else
// has written them. It takes over nothing but the marks, and a machine spec and settings of the Node that the
// record lacks.
func (u *specUpdate) collectMachineWrites(c *api.Cluster, stored []*mvccpb.KeyValue) ([]clientv3.Cmp, []clientv3.Op,
	error) {
	var when []clientv3.Cmp
	var then []clientv3.Op
	newest := int64(0)
	for i, kv := range stored {
		m, corrupt := decodeMachine(kv)
		if corrupt != nil {
			return nil, nil, corrupt
		}
		if i >= len(c.Status.Machines) || c.Status.Machines[i].Index != m.Index {
			return nil, nil, fmt.Errorf("%s: machines can only be marked", u.doing)
		}
		marked := c.Status.Machines[i]
		newest = max(newest, kv.ModRevision)
		recordsSpec, recordsNode := m.Spec == nil && marked.Spec != nil, m.Node == nil && marked.Node != nil
		if m.Leaving == marked.Leaving && m.ReplaceAsked == marked.ReplaceAsked && !recordsSpec && !recordsNode {
			continue
		}
		if m.Leaving != "" && m.Leaving != marked.Leaving {
			return nil, nil, fmt.Errorf("%s: machine %s leaves for good", u.doing, m.Name)
		}
		m.Leaving, m.ReplaceAsked = marked.Leaving, marked.ReplaceAsked
		if recordsSpec {
			m.Spec = marked.Spec
		}
		if recordsNode {
			m.Node = marked.Node
		}
		value, err := json.Marshal(&m)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: machine %s: %w", u.doing, m.Name, err)
		}
		when = append(when, clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision))
		then = append(then, clientv3.OpPut(string(kv.Key), string(value)))
	}
	if len(when) > maxComparedMachines {
		for i := range then { // a range cannot be compared for deleted keys
			then[i] = clientv3.OpTxn(when[i:i+1], []clientv3.Op{then[i]}, nil)
		}
		prefix := u.keys.machinesPrefix(u.ref.UID)
		when = []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", newest+1)}
	}
	return when, then, nil
}

// SpecConflictError says that somebody else has changed the spec since the person looked.
type SpecConflictError struct {
	Cluster       string
	Seen, Current int64 // generations
}

func (e *SpecConflictError) Error() string {
	return fmt.Sprintf("cluster %s was changed meanwhile (its generation is %d, not %d); nothing was written. To see "+
		"it: skyctl describe cluster %[1]s; then run the command again", e.Cluster, e.Current, e.Seen)
}

// UnchangeableError says why a cluster in this phase cannot change.
type UnchangeableError struct {
	Cluster string
	Phase   api.Phase
	Why     string
}

func (e *UnchangeableError) Error() string {
	return fmt.Sprintf("cluster %s is %s and cannot change: %s", e.Cluster, e.Phase, e.Why)
}
