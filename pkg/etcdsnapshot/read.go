// Package etcdsnapshot reads and changes snapshot files of etcd: etcd's database with a SHA-256 behind it. It links no
// etcd server, so that skyctl can use it. Large files are read in pieces, or mapped.
package etcdsnapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

const (
	// pageSize is the least size of a page of etcd's database: etcd writes the SHA-256 after the last page.
	pageSize = 512
	// boltTimeout bounds the wait for the lock of the file, which nobody else has open.
	boltTimeout = 10 * time.Second
	// revisionBytes is the length of a key in etcd's database: revision, '_', number of the operation. The key of a
	// deletion has one byte more: https://etcd.io/docs/v3.6/learning/data_model/
	revisionBytes = 17
)

// The parts of etcd's database: go.etcd.io/etcd/server/v3/storage/schema.
var (
	keyBucket           = []byte("key")
	metaBucket          = []byte("meta")
	scheduledCompactKey = []byte("scheduledCompactRev")
	finishedCompactKey  = []byte("finishedCompactRev")
)

// DamagedError says that a file is not a whole snapshot of etcd.
type DamagedError struct{ Problem string }

func (e *DamagedError) Error() string { return "the snapshot of etcd is " + e.Problem }

// Reason returns the word for it that people and workflows see.
func (e *DamagedError) Reason() string { return "SnapshotDamaged" }

// Final reports that reading it again is of no use.
func (e *DamagedError) Final() bool { return true }

func damaged(format string, args ...any) error {
	return &DamagedError{Problem: "damaged: " + fmt.Sprintf(format, args...)}
}

// CheckHash reads a snapshot of a size in bytes, and checks the SHA-256 at its end. The error is a *DamagedError unless
// the reader fails.
func CheckHash(r io.Reader, size int64) error {
	if size%pageSize != sha256.Size {
		return &DamagedError{Problem: fmt.Sprintf("incomplete: it has %d bytes", size)}
	}
	sum := sha256.New()
	want := make([]byte, sha256.Size)
	read, err := io.CopyN(sum, r, size-sha256.Size)
	if err == nil {
		var n int
		n, err = io.ReadFull(r, want)
		read += int64(n)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // a wrapped one is an error of the reader
		return &DamagedError{Problem: fmt.Sprintf("incomplete: it has %d of %d bytes", read, size)}
	}
	if err != nil {
		return fmt.Errorf("reading the snapshot of etcd: %w", err)
	}
	if !bytes.Equal(want, sum.Sum(nil)) {
		return damaged("its hash differs")
	}
	return nil
}

// Contents is what a snapshot has.
type Contents struct {
	// Revision is the one at which etcd continues after a restore.
	Revision int64
	// Keys counts the keys that exist at this revision, by registry prefix: see PrefixOf.
	Keys map[string]int64
}

// Read checks the hash of a snapshot file and reads it. It remembers the name of each key, but no value.
func Read(path string) (Contents, error) {
	if err := checkFile(path); err != nil {
		return Contents{}, err
	}
	return ReadChecked(path)
}

// ReadChecked is Read for a file whose hash the caller has checked.
func ReadChecked(path string) (Contents, error) {
	live := map[string]struct{}{}
	c := Contents{Revision: 1, Keys: map[string]int64{}} // an empty etcd is at revision 1
	err := viewCheckedDatabase(path, func(tx *bolt.Tx) error {
		c.Revision = max(c.Revision, readCompaction(tx))
		return forEachChange(tx, func(change Change) error {
			c.Revision = max(c.Revision, change.Revision)
			switch {
			case len(change.Key) == 0: // only marks a revision: see Prepare
			case change.Deleted:
				delete(live, string(change.Key))
			default:
				live[string(change.Key)] = struct{}{}
			}
			return nil
		})
	})
	if err != nil {
		return Contents{}, err
	}
	for key := range live {
		c.Keys[PrefixOf(key)]++
	}
	return c, nil
}

// OtherKeys is the prefix of keys that are not in the registry of Kubernetes.
const OtherKeys = "other"

// PrefixOf returns the registry prefix of a key of Kubernetes, such as /registry/pods. A part with a dot is an API
// group, whose resources count one by one: /registry/apiregistration.k8s.io/apiservices. So do Services and Endpoints,
// which Kubernetes keeps below /registry/services. All other keys are OtherKeys.
func PrefixOf(key string) string {
	path, found := strings.CutPrefix(key, "/registry/")
	if !found || path == "" {
		return OtherKeys
	}
	resource, rest, _ := strings.Cut(path, "/")
	if rest != "" && (strings.Contains(resource, ".") || resource == "services") {
		second, _, _ := strings.Cut(rest, "/")
		resource += "/" + second
	}
	return "/registry/" + resource
}

// Change is a change of a key.
type Change struct {
	Revision int64
	Key      []byte // valid until the function that gets it returns
	Deleted  bool
}

// ReadChanges checks the hash of a snapshot file, and passes all changes that etcd has not compacted to a function, in
// the order of their revisions.
func ReadChanges(path string, visit func(Change) error) error {
	return viewDatabase(path, func(tx *bolt.Tx) error { return forEachChange(tx, visit) })
}

// viewDatabase checks the hash of a snapshot file and opens it.
func viewDatabase(path string, read func(*bolt.Tx) error) error {
	if err := checkFile(path); err != nil {
		return err
	}
	return viewCheckedDatabase(path, read)
}

func viewCheckedDatabase(path string, read func(*bolt.Tx) error) error {
	return recoverDamage(func() error {
		db, err := bolt.Open(path, 0o400, &bolt.Options{ReadOnly: true, Timeout: boltTimeout})
		if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) ||
			errors.Is(err, bolterrors.ErrVersionMismatch) {
			return damaged("it is not a database of etcd: %v", err)
		} else if err != nil {
			return fmt.Errorf("opening the snapshot of etcd: %w", err)
		}
		defer func() { _ = db.Close() }() // only read from
		return db.View(read)
	})
}

// recoverDamage turns a panic into an error. bbolt panics, and reads beyond the mapped file, if pages refer to others
// that do not exist, which a file with a right hash can have too if it is not from etcd.
func recoverDamage(use func() error) (err error) {
	former := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(former)
		if found := recover(); found != nil {
			err = damaged("its pages are invalid: %v", found)
		}
	}()
	return use()
}

func checkFile(path string) error {
	f, err := os.Open(path) //nolint:gosec // the caller's own file
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return CheckHash(f, info.Size())
}

func forEachChange(tx *bolt.Tx, visit func(Change) error) error {
	b := tx.Bucket(keyBucket)
	if b == nil {
		return damaged("it has no keys")
	}
	return b.ForEach(func(revision, value []byte) error {
		main, err := parseRevision(revision)
		if err != nil {
			return err
		}
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return damaged("it has an invalid key: %v", err)
		}
		return visit(Change{Revision: main, Key: kv.Key, Deleted: len(revision) > revisionBytes})
	})
}

func parseRevision(b []byte) (int64, error) {
	if len(b) < revisionBytes {
		return 0, damaged("it has an invalid revision of %d bytes", len(b))
	}
	main := int64(binary.BigEndian.Uint64(b)) //nolint:gosec // etcd counts with an int64
	if main < 0 {
		return 0, damaged("it has the invalid revision %d", main)
	}
	return main, nil
}

// readCompaction returns the revision up to which etcd has compacted, or is about to. The last changes may have been
// deletions that are compacted: then etcd continues at this revision.
func readCompaction(tx *bolt.Tx) int64 {
	var last int64
	b := tx.Bucket(metaBucket)
	if b == nil {
		return 0
	}
	for _, name := range [][]byte{scheduledCompactKey, finishedCompactKey} {
		if revision, err := parseRevision(b.Get(name)); err == nil {
			last = max(last, revision)
		}
	}
	return last
}
