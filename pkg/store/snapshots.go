package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// CreateSnapshot stores what is known of a new snapshot. If its cluster has one with the name, the error is a
// *SnapshotExistsError.
func (s *Store) CreateSnapshot(ctx context.Context, snapshot api.Snapshot) error {
	if err := checkSnapshotKey(snapshot.ClusterUID, snapshot.Name); err != nil {
		return err
	}
	value, err := json.Marshal(snapshot)
	if err != nil {
		return err
	}
	key := s.keys.snapshotKey(snapshot.ClusterUID, snapshot.Name)
	resp, err := s.etcd.Commit(ctx, fmt.Sprintf("recording snapshot %q", snapshot.Name),
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(key, string(value))}, nil)
	if err == nil && !resp.Succeeded {
		err = &SnapshotExistsError{Cluster: snapshot.Cluster, Name: snapshot.Name}
	}
	return err
}

// ReadSnapshot returns a snapshot of a cluster, or a *SnapshotMissingError.
func (s *Store) ReadSnapshot(ctx context.Context, cluster api.Ref, name string) (api.Snapshot, error) {
	if err := checkSnapshotKey(cluster.UID, name); err != nil {
		return api.Snapshot{}, err
	}
	resp, err := s.etcd.Get(ctx, fmt.Sprintf("reading snapshot %q", name), s.keys.snapshotKey(cluster.UID, name))
	if err != nil {
		return api.Snapshot{}, err
	}
	if len(resp.Kvs) == 0 {
		return api.Snapshot{}, &SnapshotMissingError{Cluster: cluster.Name, Name: name}
	}
	snapshot, corrupt := decodeSnapshot(resp.Kvs[0])
	if corrupt != nil {
		return api.Snapshot{}, corrupt
	}
	return snapshot, nil
}

// ListSnapshots returns the snapshots of the cluster with a UID, or of all clusters, also of those that are deleted, if
// it is empty. It leaves out records that cannot be decoded and names them in a *CorruptError, which it returns with
// the others.
func (s *Store) ListSnapshots(ctx context.Context, uid string) ([]api.Snapshot, error) {
	prefix := s.keys.allSnapshotsPrefix()
	if uid != "" {
		if err := checkKeyPart("cluster UID", uid); err != nil {
			return nil, err
		}
		prefix = s.keys.snapshotsPrefix(uid)
	}
	resp, err := s.etcd.Get(ctx, "listing snapshots", prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	all, bad := decodeAll(resp.Kvs, decodeSnapshot)
	api.SortSnapshots(all)
	return all, joinCorruptErrors(bad)
}

// UpdateSnapshot changes a snapshot by compare-and-swap; change may be called several times. If the snapshot is gone,
// the error is a *SnapshotMissingError.
func (s *Store) UpdateSnapshot(ctx context.Context, cluster api.Ref, name string,
	change func(*api.Snapshot) error) (api.Snapshot, error) {
	if err := checkSnapshotKey(cluster.UID, name); err != nil {
		return api.Snapshot{}, err
	}
	updated, _, err := etcd.UpdateKey(ctx, s.etcd, etcd.KeyUpdate[*api.Snapshot]{
		Doing: fmt.Sprintf("updating snapshot %q", name), Key: s.keys.snapshotKey(cluster.UID, name), Change: change,
		Decode: func(kv *mvccpb.KeyValue) (*api.Snapshot, error) {
			if kv == nil {
				return nil, &SnapshotMissingError{Cluster: cluster.Name, Name: name}
			}
			snapshot, corrupt := decodeSnapshot(kv)
			if corrupt != nil {
				return nil, corrupt
			}
			return &snapshot, nil
		},
		Encode: func(snapshot *api.Snapshot) ([]byte, error) { return json.Marshal(snapshot) },
	})
	if err != nil {
		return api.Snapshot{}, err
	}
	return *updated, nil
}

// ForgetSnapshot removes the record of a snapshot and its token. It succeeds if there is none.
func (s *Store) ForgetSnapshot(ctx context.Context, cluster api.Ref, name string) error {
	if err := checkSnapshotKey(cluster.UID, name); err != nil {
		return err
	}
	_, err := s.etcd.Commit(ctx, fmt.Sprintf("removing the record of snapshot %q", name), nil, []clientv3.Op{
		clientv3.OpDelete(s.keys.snapshotKey(cluster.UID, name)),
		clientv3.OpDelete(s.keys.snapshotTokenKey(cluster.UID, name)),
	}, nil)
	return err
}

// PutSnapshotToken stores the server token under which the keys in a snapshot are sealed, encrypted.
func (s *Store) PutSnapshotToken(ctx context.Context, cluster api.Ref, name string, token []byte) error {
	if err := checkSnapshotKey(cluster.UID, name); err != nil {
		return err
	}
	key := s.keys.snapshotTokenKey(cluster.UID, name)
	sealed, err := s.box.Seal(key, token)
	if err != nil {
		return fmt.Errorf("storing the token of snapshot %q: %w", name, err)
	}
	_, err = s.etcd.Commit(ctx, fmt.Sprintf("storing the token of snapshot %q", name),
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(s.keys.snapshotKey(cluster.UID, name)), ">", 0)},
		[]clientv3.Op{clientv3.OpPut(key, string(sealed))}, nil)
	redact.LearnSecret(cluster.UID, token)
	return err
}

// ReadSnapshotToken returns the server token of a snapshot, or a *NotFoundError.
func (s *Store) ReadSnapshotToken(ctx context.Context, cluster api.Ref, name string) ([]byte, error) {
	if err := checkSnapshotKey(cluster.UID, name); err != nil {
		return nil, err
	}
	key := s.keys.snapshotTokenKey(cluster.UID, name)
	value, err := s.readSealed(ctx, fmt.Sprintf("reading the token of snapshot %q", name), key)
	if err == nil && value == nil {
		err = &NotFoundError{Cluster: cluster.Name, What: "token of snapshot " + name}
	}
	if err == nil {
		redact.LearnSecret(cluster.UID, value)
	}
	return value, err
}

// EnsureSnapshotIdentity returns the identity to which snapshots are sealed, as create returns it the first time.
func (s *Store) EnsureSnapshotIdentity(ctx context.Context, create func() (string, error)) (string, error) {
	const doing = "reading the key of the snapshots"
	key := s.keys.snapshotIdentityKey()
	known, err := s.readSealed(ctx, doing, key)
	if err != nil {
		return "", err
	}
	if known == nil {
		created, err := create()
		if err != nil {
			return "", fmt.Errorf("creating the key of the snapshots: %w", err)
		}
		sealed, err := s.box.Seal(key, []byte(created))
		if err != nil {
			return "", fmt.Errorf("creating the key of the snapshots: %w", err)
		}
		if _, err := s.etcd.Commit(ctx, "creating the key of the snapshots",
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(key, string(sealed))}, nil); err != nil {
			return "", err
		}
		if known, err = s.readSealed(ctx, doing, key); err != nil { // another process may have been first
			return "", err
		}
	}
	redact.LearnSecret("snapshot-identity", known)
	return string(known), nil
}

// readSealed opens the value of a key; nil if there is none.
func (s *Store) readSealed(ctx context.Context, doing, key string) ([]byte, error) {
	resp, err := s.etcd.Get(ctx, doing, key)
	if err != nil || len(resp.Kvs) == 0 {
		return nil, err
	}
	value, err := s.box.Open(key, resp.Kvs[0].Value)
	if damaged := new(secretbox.DamagedError); errors.As(err, &damaged) {
		err = &CorruptError{Keys: []string{key}, Cause: damaged}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return value, nil
}

func decodeSnapshot(kv *mvccpb.KeyValue) (api.Snapshot, *CorruptError) {
	var snapshot api.Snapshot
	err := json.Unmarshal(kv.Value, &snapshot)
	if err == nil && (snapshot.Name == "" || snapshot.ClusterUID == "") {
		err = errors.New("it names no snapshot")
	}
	if err != nil {
		return api.Snapshot{}, &CorruptError{Keys: []string{string(kv.Key)},
			Cause: fmt.Errorf("invalid record of a snapshot: %w", err)}
	}
	return snapshot, nil
}

func checkSnapshotKey(uid, name string) error {
	if err := checkKeyPart("cluster UID", uid); err != nil {
		return err
	}
	return checkKeyPart("snapshot's name", name)
}

// SnapshotMissingError says that a cluster has no snapshot with a name.
type SnapshotMissingError struct{ Cluster, Name string }

func (e *SnapshotMissingError) Error() string {
	return fmt.Sprintf("cluster %q has no snapshot %q; to list them: skyctl get snapshots --cluster %s", e.Cluster,
		e.Name, e.Cluster)
}

// Reason is SnapshotMissing.
func (e *SnapshotMissingError) Reason() string { return "SnapshotMissing" }

// Final is true, because nothing brings it back.
func (e *SnapshotMissingError) Final() bool { return true }

// SnapshotExistsError says that a cluster has a snapshot with the name.
type SnapshotExistsError struct{ Cluster, Name string }

func (e *SnapshotExistsError) Error() string {
	return fmt.Sprintf("cluster %q already has a snapshot %q", e.Cluster, e.Name)
}

// Final is true: only a delete of the other one changes it.
func (e *SnapshotExistsError) Final() bool { return true }
