package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// OtherKeyError says that the secrets in etcd are encrypted with another key than the one in use.
type OtherKeyError struct {
	Have, Need string // ids of keys, which reveal nothing about them
	// Since is when the needed key was first used; zero if unknown.
	Since time.Time
}

func (e *OtherKeyError) Error() string {
	since := ""
	if !e.Since.IsZero() {
		since = " since " + e.Since.UTC().Format(time.DateOnly)
	}
	return fmt.Sprintf("the secrets in etcd are encrypted with another key%s (id %s; the key in use has id %s)", since,
		e.Need, e.Have)
}

// keyRecord identifies the key in use.
type keyRecord struct {
	KeyID string    `json:"key_id"`
	Since time.Time `json:"since"`
}

// maxSecretsTried is the number of secrets that are checked if the key in use is not recorded.
const maxSecretsTried = 500

// HasSecrets reports whether etcd contains any secret.
func (s *Store) HasSecrets(ctx context.Context) (bool, error) {
	first := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly()}
	resp, err := s.etcd.Commit(ctx, "checking for secrets", nil, []clientv3.Op{
		clientv3.OpGet(s.keys.allSecretsPrefix(), first...),
		clientv3.OpGet(s.keys.allNamedSecretValuesPrefix(), first...),
		clientv3.OpGet(s.keys.snapshotIdentityKey(), first...),
	}, nil)
	return err == nil && (etcd.FirstKV(resp, 0) != nil || etcd.FirstKV(resp, 1) != nil ||
		etcd.FirstKV(resp, 2) != nil), err
}

// CheckSecretsKey records the key of this Store as the one in use. If the stored secrets are encrypted with another
// key, the error is an *OtherKeyError.
func (s *Store) CheckSecretsKey(ctx context.Context, now time.Time) error {
	if s.box.Err() != nil {
		return s.box.Err()
	}
	record, err := s.readKeyRecord(ctx)
	if err != nil || record.KeyID == s.box.KeyID() {
		return err
	}
	other, ours, err := s.findSealingKeys(ctx)
	switch {
	case err != nil:
		return err
	case record.KeyID == "" && (ours || other == ""):
		return s.RecordSecretsKey(ctx, now)
	case other == "" && !ours: // no secrets are left
		return s.RecordSecretsKey(ctx, now)
	case record.KeyID != "":
		return &OtherKeyError{Have: s.box.KeyID(), Need: record.KeyID, Since: record.Since}
	}
	return &OtherKeyError{Have: s.box.KeyID(), Need: other}
}

// RequireSecretsKey checks that workers use the key of this Store. It records nothing: that is for workers to do. If
// they use another one, the error is an *OtherKeyError.
func (s *Store) RequireSecretsKey(ctx context.Context) error {
	if s.box.Err() != nil {
		return s.box.Err()
	}
	record, err := s.readKeyRecord(ctx)
	if err != nil || record.KeyID == s.box.KeyID() {
		return err
	}
	need := record.KeyID
	if need == "" { // no worker has started yet
		if need, _, err = s.findSealingKeys(ctx); err != nil || need == "" {
			return err
		}
	}
	return &OtherKeyError{Have: s.box.KeyID(), Need: need, Since: record.Since}
}

// CheckKeyInUse checks a key that is not the one of this Store. If workers use another one, the error is an
// *OtherKeyError.
func (s *Store) CheckKeyInUse(ctx context.Context, key []byte) error {
	return newStore(s.etcd, s.keys.prefix, key).RequireSecretsKey(ctx)
}

// RecordSecretsKey records the key of this Store as the one in use. Secrets of other keys are not changed.
func (s *Store) RecordSecretsKey(ctx context.Context, now time.Time) error {
	if s.box.Err() != nil {
		return s.box.Err()
	}
	value, err := json.Marshal(keyRecord{KeyID: s.box.KeyID(), Since: now})
	if err != nil {
		return err
	}
	_, err = s.etcd.Commit(ctx, "recording the secrets key in use", nil,
		[]clientv3.Op{clientv3.OpPut(s.keys.secretsKeyRecord(), string(value))}, nil)
	return err
}

func (s *Store) readKeyRecord(ctx context.Context) (keyRecord, error) {
	var r keyRecord
	key := s.keys.secretsKeyRecord()
	resp, err := s.etcd.Get(ctx, "reading which secrets key is in use", key)
	if err != nil || len(resp.Kvs) == 0 {
		return r, err
	}
	if err := json.Unmarshal(resp.Kvs[0].Value, &r); err != nil {
		return r, &CorruptError{Keys: []string{key}, Cause: fmt.Errorf("invalid record of the secrets key: %w", err)}
	}
	return r, nil
}

// findSealingKeys checks which keys the first secrets are encrypted with. It reports whether any uses this Store's key,
// and returns the id of another key if there is one.
func (s *Store) findSealingKeys(ctx context.Context) (other string, ours bool, err error) {
	some := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithLimit(maxSecretsTried)}
	resp, err := s.etcd.Commit(ctx, "reading secrets", nil, []clientv3.Op{
		clientv3.OpGet(s.keys.allSecretsPrefix(), some...),
		clientv3.OpGet(s.keys.allNamedSecretValuesPrefix(), some...),
		clientv3.OpGet(s.keys.snapshotIdentityKey(), some...),
	}, nil)
	if err != nil {
		return "", false, err
	}
	for _, kv := range slices.Concat(etcd.RangeResult(resp, 0), etcd.RangeResult(resp, 1), etcd.RangeResult(resp, 2)) {
		switch id := secretbox.KeyIDOf(kv.Value); {
		case id == "": // damaged
		case id == s.box.KeyID():
			ours = true
		case other == "":
			other = id
		}
	}
	return other, ours, nil
}
