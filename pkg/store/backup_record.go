package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// BackupRecord is what the state knows of its backups. It has no secret.
type BackupRecord struct {
	// Recipient is the public part of the recovery key that backups are sealed to.
	Recipient string `json:"recipient"`
	// TakenAt and File describe the last backup that was completed; TakenAt is zero if there is none.
	TakenAt time.Time `json:"taken_at,omitzero"`
	File    string    `json:"file,omitempty"`
}

// ReadBackupRecord returns what is known of backups, or the zero BackupRecord.
func (s *Store) ReadBackupRecord(ctx context.Context) (BackupRecord, error) {
	resp, err := s.etcd.Get(ctx, "reading the record of backups", s.keys.backupKey())
	if err != nil || len(resp.Kvs) == 0 {
		return BackupRecord{}, err
	}
	r, err := decodeBackupRecord(resp.Kvs[0])
	if err != nil {
		return BackupRecord{}, err
	}
	return *r, nil
}

// UpdateBackupRecord changes the record by compare-and-swap. change may be called several times; if it fails, nothing
// is written.
func (s *Store) UpdateBackupRecord(ctx context.Context, change func(*BackupRecord) error) error {
	_, _, err := etcd.UpdateKey(ctx, s.etcd, etcd.KeyUpdate[*BackupRecord]{
		Doing: "recording a backup", Key: s.keys.backupKey(), Decode: decodeBackupRecord, Change: change,
		Encode: func(r *BackupRecord) ([]byte, error) { return json.Marshal(r) },
	})
	return err
}

// decodeBackupRecord returns the zero BackupRecord for a key that does not exist.
func decodeBackupRecord(kv *mvccpb.KeyValue) (*BackupRecord, error) {
	r := new(BackupRecord)
	if kv == nil {
		return r, nil
	}
	if err := json.Unmarshal(kv.Value, r); err != nil {
		return nil, &CorruptError{Keys: []string{string(kv.Key)},
			Cause: fmt.Errorf("invalid record of backups: %w", err)}
	}
	return r, nil
}

// DatabaseSize returns the size of etcd's database, in bytes.
func (s *Store) DatabaseSize(ctx context.Context) (int64, error) { return s.etcd.DatabaseSize(ctx) }

// StreamSnapshot writes etcd's whole database as of one revision, followed by its SHA-256. The caller limits the time.
func (s *Store) StreamSnapshot(ctx context.Context, w io.Writer) error {
	return s.etcd.StreamSnapshot(ctx, w)
}
