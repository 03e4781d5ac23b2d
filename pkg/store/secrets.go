package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// The keys of a cluster's secrets. Their values leave this package only through ReadSecret and CreateSecret.
const (
	SecretSSHKey      = "ssh-key"
	SecretAgentToken  = "agent-token"
	SecretServerToken = "server-token"
	// SecretAgentPassword is the password that the head accepts from agents; the head derives the full agent token from
	// it.
	SecretAgentPassword = "agent-password"
	SecretKubeconfig    = "kubeconfig"
	// SecretNextSSHKey is the replacement of a lost SSH key until every machine accepts it.
	SecretNextSSHKey = "next-ssh-key"
)

// SecretHostKey is the private SSH host key of one incarnation of a machine.
func SecretHostKey(incarnation string) string { return "host-key-" + incarnation }

// PutSecret encrypts and stores a secret of an existing cluster, and overwrites an old value.
func (s *Store) PutSecret(ctx context.Context, ref api.Ref, key string, value []byte) error {
	_, err := s.writeSecret(ctx, "storing", ref, key, value, false)
	return err
}

// CreateSecret stores a secret unless the key already has one, and returns the stored value. So two concurrent attempts
// return the same value.
func (s *Store) CreateSecret(ctx context.Context, ref api.Ref, key string, value []byte) ([]byte, error) {
	return s.writeSecret(ctx, "creating", ref, key, value, true)
}

// secretsAtOnce bounds the secrets in one transaction: etcd accepts requests of up to 1.5 MiB (--max-request-bytes).
const secretsAtOnce = 500

// CreateSecrets stores each of the secrets unless its key already has one, in as few transactions as etcd allows.
func (s *Store) CreateSecrets(ctx context.Context, ref api.Ref, values map[string][]byte) error {
	for part := range slices.Chunk(slices.Sorted(maps.Keys(values)), secretsAtOnce) {
		if err := s.createSecretsAtOnce(ctx, ref, part, values); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) createSecretsAtOnce(ctx context.Context, ref api.Ref, keys []string, values map[string][]byte) error {
	doing := fmt.Sprintf("creating %d secrets of cluster %q", len(keys), ref.Name)
	_, kv, err := s.readClusterByRef(ctx, ref)
	if err != nil {
		return err
	}
	creations := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		if err := checkKeyPart("secret's key", key); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		path := s.keys.secretKey(ref.UID, key)
		sealed, err := s.box.Seal(path, values[key])
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		creations[i] = clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(path), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(path, string(sealed))}, nil)
	}
	resp, err := s.etcd.Commit(ctx, doing, []clientv3.Cmp{clusterStillExists(kv)}, etcd.GroupOps(creations), nil)
	if err != nil {
		return err
	}
	if !resp.Succeeded {
		return &NotFoundError{Cluster: ref.Name} // deleted at the same time, with its secrets
	}
	for _, key := range keys {
		redact.LearnSecret(ref.UID, values[key])
	}
	return nil
}

func (s *Store) writeSecret(ctx context.Context, verb string, ref api.Ref, key string, value []byte, keep bool) ([]byte,
	error) {
	doing := fmt.Sprintf("%s secret %q of cluster %q", verb, key, ref.Name)
	if err := checkKeyPart("secret's key", key); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	_, kv, err := s.readClusterByRef(ctx, ref)
	if err != nil {
		return nil, err
	}
	path := s.keys.secretKey(ref.UID, key)
	sealed, err := s.box.Seal(path, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	when := []clientv3.Cmp{clusterStillExists(kv)}
	if keep {
		when = append(when, clientv3.Compare(clientv3.CreateRevision(path), "=", 0))
	}
	resp, err := s.etcd.Commit(ctx, doing, when,
		[]clientv3.Op{clientv3.OpPut(path, string(sealed))},
		[]clientv3.Op{clientv3.OpGet(path)})
	if err != nil {
		return nil, err
	}
	if resp.Succeeded {
		redact.LearnSecret(ref.UID, value)
		return value, nil
	}
	existing := etcd.FirstKV(resp, 0)
	if !keep || existing == nil {
		return nil, &NotFoundError{Cluster: ref.Name} // deleted at the same time, with its secrets
	}
	return s.openSecret(ref, key, existing.Value)
}

// ReadSecret returns a secret. If it does not exist, the error is a *NotFoundError.
func (s *Store) ReadSecret(ctx context.Context, ref api.Ref, key string) ([]byte, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	if err := checkKeyPart("secret's key", key); err != nil {
		return nil, err
	}
	sealed, err := s.readSealedSecret(ctx, ref, key)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, &NotFoundError{Cluster: ref.Name, What: "secret " + key}
	}
	return s.openSecret(ref, key, sealed)
}

// ListUsableSecrets returns the keys of the secrets of a cluster that can be opened. If one was encrypted with another
// secrets key, the error is a *WrongKeyError, because that secret is not lost.
func (s *Store) ListUsableSecrets(ctx context.Context, ref api.Ref) (map[string]bool, error) {
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	prefix := s.keys.secretsPrefix(ref.UID)
	resp, err := s.etcd.Get(ctx, fmt.Sprintf("listing the secrets of cluster %q", ref.Name), prefix,
		clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	usable := map[string]bool{}
	for _, kv := range resp.Kvs {
		key := strings.TrimPrefix(string(kv.Key), prefix)
		_, err := s.openSecret(ref, key, kv.Value)
		if corrupt := new(CorruptError); errors.As(err, &corrupt) {
			continue
		}
		if err != nil {
			return nil, err
		}
		usable[key] = true
	}
	return usable, nil
}

// DeleteSecret deletes a secret. It succeeds if the secret does not exist.
func (s *Store) DeleteSecret(ctx context.Context, ref api.Ref, key string) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	if err := checkKeyPart("secret's key", key); err != nil {
		return err
	}
	_, err := s.etcd.Commit(ctx, fmt.Sprintf("deleting secret %q of cluster %q", key, ref.Name), nil,
		[]clientv3.Op{clientv3.OpDelete(s.keys.secretKey(ref.UID, key))}, nil)
	return err
}

func (s *Store) openSecret(ref api.Ref, key string, sealed []byte) ([]byte, error) {
	path := s.keys.secretKey(ref.UID, key)
	value, err := s.box.Open(path, sealed)
	if damaged := new(secretbox.DamagedError); errors.As(err, &damaged) {
		err = &CorruptError{Keys: []string{path}, Cause: damaged}
	}
	if err != nil {
		return nil, fmt.Errorf("reading secret %q of cluster %q: %w", key, ref.Name, err)
	}
	redact.LearnSecret(ref.UID, value)
	return value, nil
}
