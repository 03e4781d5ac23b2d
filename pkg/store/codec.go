package store

import (
	"encoding/json"
	"fmt"
	"runtime"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/sky-shift/skyctl/pkg/api"
)

// encodeCluster rejects objects that readers would not accept. It leaves out machines, which have their own keys, and
// the revision, which etcd assigns.
func encodeCluster(c *api.Cluster) ([]byte, error) {
	name := c.Metadata.Name
	if err := checkRef(api.Ref{Name: name, UID: c.Metadata.UID}); err != nil {
		return nil, fmt.Errorf("cluster %q cannot be stored: %w", name, err)
	}
	if c.APIVersion != api.APIVersion || c.Kind != api.Kind {
		return nil, fmt.Errorf("cluster %q cannot be stored: its kind is %q of %q, want %s of %s", name, c.Kind,
			c.APIVersion, api.Kind, api.APIVersion)
	}
	if !c.Status.Phase.IsKnown() {
		return nil, fmt.Errorf("cluster %q cannot be stored: unknown phase %q", name, c.Status.Phase)
	}
	bare := *c
	bare.Metadata.Revision = 0
	bare.Status.Machines = nil
	value, err := json.Marshal(&bare)
	if err != nil {
		return nil, fmt.Errorf("cluster %q cannot be stored: %w", name, err)
	}
	return value, nil
}

// decodeCluster accepts unknown fields, but not another version or a name that does not match the key.
func (s *Store) decodeCluster(kv *mvccpb.KeyValue) (*api.Cluster, *CorruptError) {
	c := &api.Cluster{}
	if err := json.Unmarshal(kv.Value, c); err != nil {
		return nil, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("invalid cluster object: %w", err)}
	}
	if corrupt := s.completeDecoded(c, kv); corrupt != nil {
		return nil, corrupt
	}
	return c, nil
}

// completeDecoded checks that an object matches its key and sets the fields that are not stored in it.
func (s *Store) completeDecoded(c *api.Cluster, kv *mvccpb.KeyValue) *CorruptError {
	var err error
	switch {
	case c.APIVersion != api.APIVersion:
		err = fmt.Errorf("unsupported object version %q, want %s", c.APIVersion, api.APIVersion)
	case s.keys.clusterKey(c.Metadata.Name) != string(kv.Key):
		err = fmt.Errorf("the object belongs to cluster %q", c.Metadata.Name)
	case c.Metadata.UID == "":
		err = fmt.Errorf("the cluster has no UID")
	}
	if err != nil {
		return &CorruptError{Keys: []string{string(kv.Key)}, Cause: err}
	}
	c.CompleteStored()
	c.Metadata.Revision = kv.ModRevision
	c.Status.Machines = nil
	return nil
}

func encodeMachine(m *api.Machine) ([]byte, error) {
	switch {
	case m.Index < 0 || m.Index > maxMachineIndex:
		return nil, fmt.Errorf("machine %q cannot be stored: index %d is not in the range 0 to %d", m.Name, m.Index,
			maxMachineIndex)
	case m.Name == "" || m.Incarnation == "" || m.State == "":
		return nil, fmt.Errorf("machine %d (%q) cannot be stored: name, incarnation and state are required", m.Index,
			m.Name)
	}
	value, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("machine %q cannot be stored: %w", m.Name, err)
	}
	return value, nil
}

func decodeMachine(kv *mvccpb.KeyValue) (api.Machine, *CorruptError) {
	var m api.Machine
	if err := json.Unmarshal(kv.Value, &m); err != nil {
		return m, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("invalid machine object: %w", err)}
	}
	return m, nil
}

func decodeMachines(kvs []*mvccpb.KeyValue) ([]api.Machine, []*CorruptError) {
	if len(kvs) == 0 {
		return nil, nil
	}
	return decodeAll(kvs, decodeMachine)
}

// decodeAll decodes on all cores and keeps the order. It returns the objects that cannot be decoded as errors.
func decodeAll[T any](kvs []*mvccpb.KeyValue, decode func(*mvccpb.KeyValue) (T, *CorruptError)) ([]T, []*CorruptError) {
	all := make([]T, len(kvs))
	bad := make([]*CorruptError, len(kvs))
	const minBatch = 64 // a smaller batch is not worth a goroutine
	var wg sync.WaitGroup
	step := max(minBatch, (len(kvs)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < len(kvs); from += step {
		to := min(from+step, len(kvs))
		wg.Go(func() {
			for i := from; i < to; i++ {
				all[i], bad[i] = decode(kvs[i])
			}
		})
	}
	wg.Wait()
	good, errs := all[:0], []*CorruptError(nil)
	for i, v := range all {
		if bad[i] != nil {
			errs = append(errs, bad[i])
			continue
		}
		good = append(good, v)
	}
	return good, errs
}
