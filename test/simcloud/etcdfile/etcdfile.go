// Package etcdfile makes and reads snapshots of etcd in the test's process. The files are etcd's own: a database that
// etcd's storage wrote, and the checksum that etcd appends to it.
package etcdfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
)

// Write returns a snapshot in which the keys have these values. It continues the history of an earlier snapshot of the
// same etcd; nil begins one. Keys that are not given are deleted.
func Write(earlier []byte, keys map[string][]byte) (file []byte, err error) {
	err = withDatabase(earlier, func(path string) error {
		if err := changeKeys(path, keys); err != nil {
			return err
		}
		if err := compact(path, path+".small"); err != nil {
			return err
		}
		database, err := os.ReadFile(path + ".small")
		if err != nil {
			return err
		}
		sum := sha256.Sum256(database)
		file = append(database, sum[:]...)
		return nil
	})
	return file, err
}

// Read returns the keys of a snapshot with their values, and its revision. It refuses a damaged file in the words of
// etcd's own tool.
func Read(file []byte) (keys map[string][]byte, revision int64, err error) {
	if len(file) < sha256.Size || len(file)%512 != sha256.Size {
		return nil, 0, errors.New("snapshot missing hash but --skip-hash-check=false")
	}
	database, sum := file[:len(file)-sha256.Size], file[len(file)-sha256.Size:]
	if got := sha256.Sum256(database); !bytes.Equal(got[:], sum) {
		return nil, 0, fmt.Errorf("expected sha256 %v, got %v", sum, got)
	}
	err = withDatabase(file, func(path string) error {
		store := openStore(path)
		defer store.close()
		keys, revision, err = store.readKeys()
		return err
	})
	return keys, revision, err
}

// compact copies a database without the room that etcd reserves, which is 16 MiB.
func compact(from, to string) error {
	large, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = large.Close() }()
	small, err := bbolt.Open(to, 0o600, nil)
	if err != nil {
		return err
	}
	small.AllocSize = small.Info().PageSize
	return errors.Join(bbolt.Compact(small, large, 0), small.Close())
}

// withDatabase calls a function with the path of the file's database; of nil the file does not exist yet.
func withDatabase(file []byte, do func(path string) error) error {
	dir, err := os.MkdirTemp("", "etcdfile")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "db")
	if file != nil {
		if err := os.WriteFile(path, file[:len(file)-sha256.Size], 0o600); err != nil {
			return err
		}
	}
	return do(path)
}

// store is an open database.
type store struct {
	backend backend.Backend
	kv      mvcc.KV
}

func openStore(path string) store {
	log := zap.NewNop()
	b := backend.NewDefaultBackend(log, path)
	tx := b.BatchTx()
	tx.LockOutsideApply()
	schema.UnsafeCreateMetaBucket(tx)
	tx.Unlock()
	schema.NewMembershipBackend(log, b).MustCreateBackendBuckets()
	return store{b, mvcc.NewStore(log, b, &lease.FakeLessor{}, mvcc.StoreConfig{})}
}

func (s store) close() {
	_ = s.kv.Close()
	_ = s.backend.Close()
}

func (s store) readKeys() (map[string][]byte, int64, error) {
	all, err := s.kv.Range(context.Background(), []byte{0}, []byte{}, mvcc.RangeOptions{})
	if err != nil {
		return nil, 0, err
	}
	keys := map[string][]byte{}
	for _, kv := range all.KVs {
		keys[string(kv.Key)] = kv.Value
	}
	return keys, all.Rev, nil
}

func changeKeys(path string, keys map[string][]byte) error {
	s := openStore(path)
	defer s.close()
	had, _, err := s.readKeys()
	if err != nil {
		return err
	}
	for key, value := range keys {
		if old, known := had[key]; !known || !bytes.Equal(old, value) {
			s.kv.Put([]byte(key), value, lease.NoLease)
		}
	}
	for key := range had {
		if _, stays := keys[key]; !stays {
			s.kv.DeleteRange([]byte(key), nil)
		}
	}
	s.kv.Commit()
	return nil
}
