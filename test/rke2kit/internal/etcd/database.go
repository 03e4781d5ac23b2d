package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"
)

// RestoreCommand is the command of the program kube that makes a member's directory from a snapshot.
const RestoreCommand = "etcd-restore"

// IsInitialized tells whether dataDir holds the database of a member that has run. RKE2 looks for the same directory.
func IsInitialized(dataDir string) (bool, error) {
	info, err := os.Stat(filepath.Join(dataDir, "member", "wal"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

// Fields of mvccpb.KeyValue, and the end of the key of a deletion.
const (
	keyField   protowire.Number = 1
	valueField protowire.Number = 5
	tombstone                   = 't'
)

// ReadPrefix returns the keys that begin with prefix, from the database of a member that does not run. What a killed
// member wrote in its last tenth of a second may be missing.
func ReadPrefix(dataDir, prefix string) ([]KeyValue, error) {
	file := filepath.Join(dataDir, "member", "snap", "db")
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 10 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open etcd database %s: %w", file, err)
	}
	defer db.Close()
	newest := map[string][]byte{}
	err = db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("key"))
		if bucket == nil {
			return nil
		}
		// In the order of revisions.
		return bucket.ForEach(func(revision, data []byte) error {
			key, value, err := parseKeyValue(data)
			if err != nil || !bytes.HasPrefix(key, []byte(prefix)) {
				return err
			}
			if revision[len(revision)-1] == tombstone && len(revision) == 18 {
				delete(newest, string(key))
			} else {
				newest[string(key)] = bytes.Clone(value)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read etcd database %s: %w", file, err)
	}
	var out []KeyValue
	for key, value := range newest {
		out = append(out, KeyValue{Key: []byte(key), Value: value})
	}
	return out, nil
}

func parseKeyValue(data []byte) (key, value []byte, err error) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		data = data[n:]
		if kind == protowire.BytesType && (number == keyField || number == valueField) {
			field, n := protowire.ConsumeBytes(data)
			if n < 0 {
				return nil, nil, protowire.ParseError(n)
			}
			if number == keyField {
				key = field
			} else {
				value = field
			}
			data = data[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		data = data[n:]
	}
	return key, value, nil
}
