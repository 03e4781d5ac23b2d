package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// WriteNamedSecret stores a secret that a person names, encrypted. If one with the name exists, replace has its values
// replaced; otherwise the error is a *SecretExistsError. Errors about the secret itself are *api.FieldErrors, joined.
func (s *Store) WriteNamedSecret(ctx context.Context, name string, values map[string][]byte, replace bool,
	now time.Time) (api.NamedSecret, error) {
	if err := api.ValidateSecret(name, values); err != nil {
		return api.NamedSecret{}, err
	}
	doing := fmt.Sprintf("storing secret %q", name)
	path := s.keys.namedSecretValuesKey(name)
	plain, err := json.Marshal(values)
	if err != nil {
		return api.NamedSecret{}, fmt.Errorf("%s: %w", doing, err)
	}
	sealed, err := s.box.Seal(path, plain)
	if err != nil {
		return api.NamedSecret{}, fmt.Errorf("%s: %w", doing, err)
	}
	wanted := api.NamedSecret{Name: name, CreatedAt: now.UTC(), UpdatedAt: now.UTC()}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		wanted.Keys = append(wanted.Keys, api.NamedSecretKey{Name: key, Size: len(values[key])})
	}
	err = etcd.RetryConflicts(ctx, doing, func() (bool, error) {
		known, unchanged, err := s.listNamedSecrets(ctx, doing)
		if err != nil {
			return false, err
		}
		if wanted.CreatedAt, err = checkNewSecret(wanted, known, replace); err != nil {
			return false, err
		}
		record, err := json.Marshal(wanted)
		if err != nil {
			return false, fmt.Errorf("%s: %w", doing, err)
		}
		resp, err := s.etcd.Commit(ctx, doing, []clientv3.Cmp{unchanged}, []clientv3.Op{
			clientv3.OpPut(s.keys.namedSecretKey(name), string(record)), clientv3.OpPut(path, string(sealed)),
		}, nil)
		return err == nil && resp.Succeeded, err
	})
	if err != nil {
		return api.NamedSecret{}, err
	}
	learnNamedSecret(name, values)
	return wanted, nil
}

// checkNewSecret checks a secret against those that exist, and returns when it was created.
func checkNewSecret(wanted api.NamedSecret, known []api.NamedSecret, replace bool) (time.Time, error) {
	created, total := wanted.CreatedAt, wanted.Size()
	for _, n := range known {
		switch {
		case n.Name != wanted.Name:
			total += n.Size()
		case !replace:
			return created, &SecretExistsError{Name: n.Name}
		default:
			created = n.CreatedAt
		}
	}
	if total > api.MaxAllSecretsBytes {
		return created, &api.FieldError{Field: "secret", Value: wanted.Name, Want: fmt.Sprintf("at most %d KiB in all "+
			"secrets together; they would have %d bytes", api.MaxAllSecretsBytes>>10, total)}
	}
	return created, nil
}

// ListNamedSecrets returns the secrets that people stored, by name, without their values. It needs no secrets key.
func (s *Store) ListNamedSecrets(ctx context.Context) ([]api.NamedSecret, error) {
	all, _, err := s.listNamedSecrets(ctx, "listing secrets")
	return all, err
}

// listNamedSecrets also returns the condition that no secret is written or created afterwards.
func (s *Store) listNamedSecrets(ctx context.Context, doing string) ([]api.NamedSecret, clientv3.Cmp, error) {
	prefix := s.keys.namedSecretsPrefix()
	resp, err := s.etcd.Get(ctx, doing, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, clientv3.Cmp{}, err
	}
	all := make([]api.NamedSecret, 0, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		n, err := decodeNamedSecret(kv)
		if err != nil {
			return nil, clientv3.Cmp{}, err
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b api.NamedSecret) int { return cmp.Compare(a.Name, b.Name) })
	return all, clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", resp.Header.Revision+1), nil
}

func decodeNamedSecret(kv *mvccpb.KeyValue) (api.NamedSecret, error) {
	var n api.NamedSecret
	if err := json.Unmarshal(kv.Value, &n); err != nil || n.Name == "" {
		return n, &CorruptError{Keys: []string{string(kv.Key)}, Cause: errors.New("invalid record of a secret")}
	}
	return n, nil
}

// NamedValues are the values of a secret that a person stored.
type NamedValues struct {
	// Values by key.
	Values map[string][]byte
	// Version differs for each write of the secret.
	Version int64
}

// ReadNamedSecret returns the values of a secret. If there is none with the name, the error is a *SecretMissingError.
func (s *Store) ReadNamedSecret(ctx context.Context, name string) (NamedValues, error) {
	if err := api.ValidateSecretName(name); err != nil {
		return NamedValues{}, err
	}
	doing, path := fmt.Sprintf("reading secret %q", name), s.keys.namedSecretValuesKey(name)
	resp, err := s.etcd.Get(ctx, doing, path)
	if err != nil {
		return NamedValues{}, err
	}
	if len(resp.Kvs) == 0 {
		return NamedValues{}, &SecretMissingError{Name: name}
	}
	plain, err := s.box.Open(path, resp.Kvs[0].Value)
	if damaged := new(secretbox.DamagedError); errors.As(err, &damaged) {
		err = &CorruptError{Keys: []string{path}, Cause: damaged}
	}
	if err != nil {
		return NamedValues{}, fmt.Errorf("%s: %w", doing, err)
	}
	read := NamedValues{Version: resp.Kvs[0].ModRevision}
	if err := json.Unmarshal(plain, &read.Values); err != nil { // the cause may quote a value
		return NamedValues{}, &CorruptError{Keys: []string{path}, Cause: errors.New("invalid values of a secret")}
	}
	learnNamedSecret(name, read.Values)
	return read, nil
}

// learnNamedSecret has the process hide the values of a secret. It also hides those that were replaced: machines may
// have them.
func learnNamedSecret(name string, values map[string][]byte) {
	for _, value := range values {
		redact.LearnSecret("secret/"+name, value)
	}
}

// UsedSecret is the key under which a cluster keeps a value of a named secret that its machines have, so that any
// process finds it in their output even after it was replaced.
func UsedSecret(name, key string, version int64) string {
	return fmt.Sprintf("used-%s-%d-%s", name, version, key)
}

// DeleteNamedSecret deletes a secret. If a cluster refers to it, or a snapshot is in a storage that it opens, the error
// is a *SecretInUseError, unless force is set. If there is none with the name, the error is a *SecretMissingError.
func (s *Store) DeleteNamedSecret(ctx context.Context, name string, force bool) error {
	if err := api.ValidateSecretName(name); err != nil {
		return err
	}
	doing := fmt.Sprintf("deleting secret %q", name)
	return etcd.RetryConflicts(ctx, doing, func() (bool, error) {
		var when []clientv3.Cmp
		if !force {
			var err error
			if when, err = s.checkSecretUnused(ctx, doing, name); err != nil {
				return false, err
			}
		}
		key := s.keys.namedSecretKey(name)
		resp, err := s.etcd.Commit(ctx, doing, when, []clientv3.Op{
			clientv3.OpDelete(key), clientv3.OpDelete(s.keys.namedSecretValuesKey(name)),
		}, nil)
		if err != nil || !resp.Succeeded {
			return false, err
		}
		if resp.Responses[0].GetResponseDeleteRange().Deleted == 0 {
			return false, &SecretMissingError{Name: name}
		}
		return true, nil
	})
}

// checkSecretUnused returns the conditions that no cluster and no snapshot starts to need a secret, if none does now.
func (s *Store) checkSecretUnused(ctx context.Context, doing, name string) ([]clientv3.Cmp, error) {
	prefixes := []string{s.keys.clustersPrefix(), s.keys.allSnapshotsPrefix()}
	resp, err := s.etcd.Commit(ctx, doing, nil, []clientv3.Op{
		clientv3.OpGet(prefixes[0], clientv3.WithPrefix()), clientv3.OpGet(prefixes[1], clientv3.WithPrefix()),
	}, nil)
	if err != nil {
		return nil, err
	}
	clusters, bad := s.decodeClusters(etcd.RangeResult(resp, 0))
	snapshots, badSnapshots := decodeAll(etcd.RangeResult(resp, 1), decodeSnapshot)
	if err := joinCorruptErrors(append(bad, badSnapshots...)); err != nil {
		return nil, fmt.Errorf("%s: a damaged cluster or snapshot may refer to it: %w", doing, err)
	}
	inUse := &SecretInUseError{Name: name}
	for _, c := range clusters {
		if slices.Contains(c.Spec.SecretNames(), name) {
			inUse.Clusters = append(inUse.Clusters, c.Metadata.Name)
		}
	}
	api.SortSnapshots(snapshots)
	for _, kept := range api.SnapshotsOpenedBy(name, clusters, snapshots) {
		inUse.Snapshots = append(inUse.Snapshots, kept.Cluster+"/"+kept.Name)
	}
	if inUse.Clusters != nil || inUse.Snapshots != nil {
		return nil, inUse
	}
	var when []clientv3.Cmp
	for _, prefix := range prefixes {
		when = append(when, clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", resp.Header.Revision+1))
	}
	return when, nil
}

// secretsExist are the conditions that the secrets of a spec exist.
func (s *Store) secretsExist(spec api.ClusterSpec) []clientv3.Cmp {
	var when []clientv3.Cmp
	for _, name := range spec.SecretNames() {
		when = append(when, clientv3.Compare(clientv3.CreateRevision(s.keys.namedSecretKey(name)), ">", 0))
	}
	return when
}

// newSecretMissingError names the first secret of a spec that is not among the stored ones.
func (s *Store) newSecretMissingError(spec api.ClusterSpec, stored []*mvccpb.KeyValue) error {
	for _, name := range spec.SecretNames() {
		key := s.keys.namedSecretKey(name)
		if !slices.ContainsFunc(stored, func(kv *mvccpb.KeyValue) bool { return string(kv.Key) == key }) {
			return &SecretMissingError{Name: name}
		}
	}
	return errors.New("the secrets of the cluster changed meanwhile")
}

// SecretMissingError says that no secret has a name.
type SecretMissingError struct {
	Name string
	// Keys that the secret lacks; nil if there is no such secret.
	Keys []string
}

func (e *SecretMissingError) Error() string {
	if e.Keys != nil {
		return fmt.Sprintf("secret %q has no key %s; to store its values again: skyctl create secret %s --replace",
			e.Name, strings.Join(e.Keys, ", "), e.Name)
	}
	return fmt.Sprintf("there is no secret %q; to store it: skyctl create secret %s", e.Name, e.Name)
}

// Reason is SecretMissing.
func (e *SecretMissingError) Reason() string { return "SecretMissing" }

// Final is true: a person has to store it.
func (e *SecretMissingError) Final() bool { return true }

// SecretExistsError says that a secret with the name exists.
type SecretExistsError struct{ Name string }

func (e *SecretExistsError) Error() string {
	return fmt.Sprintf("secret %q already exists; --replace replaces all its values", e.Name)
}

// SecretInUseError names who needs a secret.
type SecretInUseError struct {
	Name string
	// Clusters refer to it.
	Clusters []string
	// Snapshots, as CLUSTER/NAME, are in a storage that it opens.
	Snapshots []string
}

func (e *SecretInUseError) Error() string {
	var why []string
	if len(e.Clusters) > 0 {
		why = append(why, "by "+strings.Join(e.Clusters, ", ")+": new machines of these clusters need it")
	}
	if n := len(e.Snapshots); n > 0 {
		const most = 3
		named := strings.Join(e.Snapshots[:min(n, most)], ", ")
		if n > most {
			named += fmt.Sprintf(" and %d more", n-most)
		}
		why = append(why, "for snapshots in a bucket: without it they can be neither restored nor deleted: "+named)
	}
	return fmt.Sprintf("secret %q is in use %s; --force deletes it anyway", e.Name, strings.Join(why, "; "))
}
