package etcdsnapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Prepare changes a snapshot file so that clients that were connected before the restore notice it: the revision is
// raised by a number that is larger than that of all changes since the snapshot, and everything before counts as
// compacted. Watches from an older revision then fail, and clients list again, instead of missing changes:
// https://etcd.io/docs/v3.6/op-guide/recovery/#restoring-with-revision-bump
//
// It does what `etcdutl snapshot restore --bump-revision --mark-compacted` does, for programs that restore without
// these flags, and writes the right hash again. The file may grow. If Prepare fails or is interrupted, the file is not
// usable, and CheckHash rejects it. A second Prepare raises the revision again.
func Prepare(path string, raiseBy int64) error {
	if raiseBy <= 0 {
		return fmt.Errorf("the revision can be raised by 1 or more, not by %d", raiseBy)
	}
	last, err := readRevision(path)
	if err != nil {
		return err
	}
	if last > math.MaxInt64-raiseBy {
		return fmt.Errorf("the revision %d cannot be raised by %d: that is too large", last, raiseBy)
	}
	if err := cutHash(path); err != nil {
		return fmt.Errorf("preparing the snapshot of etcd: %w", err)
	}
	if err := raiseRevision(path, last+raiseBy); err != nil {
		return fmt.Errorf("preparing the snapshot of etcd: %w", err)
	}
	if err := appendHash(path); err != nil {
		return fmt.Errorf("preparing the snapshot of etcd: %w", err)
	}
	return nil
}

// readRevision is the revision of Read.
func readRevision(path string) (last int64, err error) {
	err = viewDatabase(path, func(tx *bolt.Tx) error {
		b := tx.Bucket(keyBucket)
		if b == nil || tx.Bucket(metaBucket) == nil {
			return damaged("it lacks a part of etcd's database")
		}
		last = max(1, readCompaction(tx))
		if newest, _ := b.Cursor().Last(); newest != nil {
			revision, err := parseRevision(newest)
			last = max(last, revision)
			return err
		}
		return nil
	})
	return last, err
}

func cutHash(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-sha256.Size)
}

// raiseRevision adds an empty change at a revision, and orders the compaction of everything up to it, which etcd does
// when it starts.
func raiseRevision(path string, revision int64) error {
	key := make([]byte, revisionBytes)
	binary.BigEndian.PutUint64(key, uint64(revision)) //nolint:gosec // not negative
	key[8] = '_'
	return recoverDamage(func() error {
		// etcd does not keep the list of free pages in the file either.
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: boltTimeout, NoFreelistSync: true,
			FreelistType: bolt.FreelistMapType})
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bolt.Tx) error {
			if err := tx.Bucket(keyBucket).Put(key, nil); err != nil {
				return err
			}
			return tx.Bucket(metaBucket).Put(scheduledCompactKey, key)
		})
		return errors.Join(err, db.Close())
	})
}

func appendHash(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the caller's own file
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err = io.Copy(sum, f); err == nil {
		_, err = f.Write(sum.Sum(nil))
	}
	return errors.Join(err, f.Sync(), f.Close())
}
