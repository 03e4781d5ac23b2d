package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// Snapshot is what a snapshot of etcd contains.
type Snapshot struct {
	// Revision is the one of the last change, of any prefix.
	Revision int64 `json:"revision"`
	Clusters int   `json:"clusters"`
	Machines int   `json:"machines"`
}

const (
	// pageSize is the least size of a page of etcd's database: https://etcd.io writes the SHA-256 after the last page.
	pageSize = 512
	// boltTimeout bounds the wait for the lock of the file, which nobody else has open.
	boltTimeout = 10 * time.Second
	// revisionBytes is the length of a key in etcd's database: revision, '_', number of the operation. The key of a
	// deletion has one byte more.
	revisionBytes = 17
)

// checkSnapshotHash checks the SHA-256 that etcd appends to a snapshot.
func checkSnapshotHash(r io.Reader, size int64) error {
	if size%pageSize != sha256.Size {
		return fmt.Errorf("the snapshot of etcd is incomplete: it has %d bytes", size)
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, r, size-sha256.Size); err != nil {
		return fmt.Errorf("reading the snapshot of etcd: %w", err)
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(r, want); err != nil {
		return fmt.Errorf("reading the snapshot of etcd: %w", err)
	}
	if !bytes.Equal(want, sum.Sum(nil)) {
		return errors.New("the snapshot of etcd is damaged: its hash differs")
	}
	return nil
}

// readSnapshot checks a snapshot's hash, and counts the objects below an installation's prefix.
func readSnapshot(path, prefix string) (Snapshot, error) {
	f, err := os.Open(path) //nolint:gosec // this package has written it
	if err != nil {
		return Snapshot{}, err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return Snapshot{}, err
	}
	if err := checkSnapshotHash(f, info.Size()); err != nil {
		return Snapshot{}, err
	}
	db, err := bolt.Open(path, 0o400, &bolt.Options{ReadOnly: true, Timeout: boltTimeout})
	if err != nil {
		return Snapshot{}, fmt.Errorf("opening the snapshot of etcd: %w", err)
	}
	defer func() { _ = db.Close() }() // only read from
	return countObjects(db, prefix)
}

// countObjects reads the database's revisions in their order.
func countObjects(db *bolt.DB, prefix string) (Snapshot, error) {
	var s Snapshot
	clusters, machines := map[string]bool{}, map[string]bool{}
	err := db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		if b == nil {
			return errors.New("the snapshot of etcd has no keys")
		}
		return b.ForEach(func(revision, value []byte) error {
			if len(revision) < revisionBytes {
				return fmt.Errorf("the snapshot of etcd has an invalid revision of %d bytes", len(revision))
			}
			var kv mvccpb.KeyValue
			if err := proto.Unmarshal(value, &kv); err != nil {
				return fmt.Errorf("the snapshot of etcd has an invalid key: %w", err)
			}
			s.Revision = int64(binary.BigEndian.Uint64(revision)) //nolint:gosec // etcd counts with an int64
			for kind, seen := range map[string]map[string]bool{"clusters": clusters, "machines": machines} {
				if !strings.HasPrefix(string(kv.Key), prefix+"/"+kind+"/") {
					continue
				}
				if len(revision) > revisionBytes {
					delete(seen, string(kv.Key))
				} else {
					seen[string(kv.Key)] = true
				}
			}
			return nil
		})
	})
	s.Clusters, s.Machines = len(clusters), len(machines)
	return s, err
}
