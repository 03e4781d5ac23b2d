package activities

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/vault"
)

// SnapshotFiles opens the vaults in which snapshots are kept off the machines.
type SnapshotFiles struct {
	Store *store.Store
	// Dir is skyd's own directory, with at most QuotaBytes of snapshots.
	Dir        string
	QuotaBytes uint64
}

// VaultFor returns where new snapshots of a cluster are kept: the place for their records, and its vault.
func (f *SnapshotFiles) VaultFor(ctx context.Context, c *api.Cluster) (place string, v vault.Vault, err error) {
	place = c.Spec.Snapshots.StoragePlace()
	v, err = f.openVault(ctx, place, c.Spec.Snapshots)
	return place, v, err
}

// VaultOf returns where a snapshot is kept; see api.Snapshot.StoragePolicy.
func (f *SnapshotFiles) VaultOf(ctx context.Context, s api.Snapshot) (vault.Vault, error) {
	if s.Place == api.SnapshotPlaceSkyd {
		return f.openVault(ctx, s.Place, api.SnapshotPolicy{})
	}
	c, err := f.Store.ReadClusterObject(ctx, s.Ref())
	if missing := new(store.NotFoundError); errors.As(err, &missing) {
		c, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.openVault(ctx, s.Place, s.StoragePolicy(c))
}

// defaultS3Region is the region of a bucket if the spec names none.
const defaultS3Region = "us-east-1"

func (f *SnapshotFiles) openVault(ctx context.Context, place string, policy api.SnapshotPolicy) (vault.Vault, error) {
	identity, err := f.Store.EnsureSnapshotIdentity(ctx, vault.NewIdentity)
	if err != nil {
		return nil, err
	}
	if place == api.SnapshotPlaceSkyd {
		return vault.NewDirectory(f.Dir, identity, f.QuotaBytes)
	}
	o := vault.S3Options{URL: place, Endpoint: policy.S3Endpoint, Region: cmp.Or(policy.S3Region, defaultS3Region)}
	if policy.S3Secret != "" {
		secret, err := f.Store.ReadNamedSecret(ctx, policy.S3Secret)
		if err != nil {
			return nil, err
		}
		text := func(key string) string { return strings.TrimRight(string(secret.Values[key]), "\r\n") }
		o.AccessKey, o.SecretKey = text(api.SecretKeyAccessKey), text(api.SecretKeySecretKey)
		o.SessionToken = text(api.SecretKeySessionToken)
	}
	return vault.NewS3(ctx, o, identity)
}

// SnapshotObject is the name of a new file in a vault for a snapshot of a cluster.
func SnapshotObject(cluster api.Ref, name string) string { return cluster.UID + "/" + name }

// CopyChecked writes the content of a snapshot that is kept off the machines to w. Without an error, w has got exactly
// what RKE2 took. If the file is gone, the error is a *SnapshotFileMissingError; if it is not what was taken, a
// *SnapshotDamagedError.
func (f *SnapshotFiles) CopyChecked(ctx context.Context, s api.Snapshot, w io.Writer) error {
	if s.Place == "" || s.Object == "" {
		return &SnapshotFileMissingError{Cluster: s.Cluster, Name: s.Name, Cause: errors.New(
			"it is not kept off the machine")}
	}
	v, err := f.VaultOf(ctx, s)
	if err != nil {
		return err
	}
	r, err := v.Open(ctx, s.Object)
	if err != nil {
		return asSnapshotError(s, err)
	}
	defer func() { _ = r.Close() }() // only read from
	sum := sha256.New()
	n, err := io.Copy(w, io.TeeReader(r, sum))
	if err != nil {
		return asSnapshotError(s, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != s.Bytes || got != s.SHA256 {
		return &SnapshotDamagedError{Cluster: s.Cluster, Name: s.Name, Cause: fmt.Errorf(
			"it has %d bytes with the SHA-256 %s instead of %d with %s", n, got, s.Bytes, s.SHA256)}
	}
	return nil
}

// asSnapshotError names the snapshot in an error of its vault.
func asSnapshotError(s api.Snapshot, err error) error {
	known := new(vault.Error)
	if !errors.As(err, &known) {
		return err
	}
	switch known.Kind {
	case vault.NotFound:
		return &SnapshotFileMissingError{Cluster: s.Cluster, Name: s.Name, Cause: err}
	case vault.Damaged:
		return &SnapshotDamagedError{Cluster: s.Cluster, Name: s.Name, Cause: err}
	}
	return err
}

// SnapshotDamagedError says that the file of a snapshot is not what was taken.
type SnapshotDamagedError struct {
	Cluster, Name string
	Cause         error
}

func (e *SnapshotDamagedError) Error() string {
	return fmt.Sprintf("snapshot %q of cluster %q is damaged: %v", e.Name, e.Cluster, e.Cause)
}

func (e *SnapshotDamagedError) Unwrap() error { return e.Cause }

// Reason is SnapshotDamaged.
func (e *SnapshotDamagedError) Reason() string { return "SnapshotDamaged" }

// Final is true: the file stays as it is.
func (e *SnapshotDamagedError) Final() bool { return true }

// SnapshotFileMissingError says that a snapshot is recorded, and its file is gone.
type SnapshotFileMissingError struct {
	Cluster, Name string
	Cause         error
}

func (e *SnapshotFileMissingError) Error() string {
	return fmt.Sprintf("the file of snapshot %q of cluster %q is missing: %v", e.Name, e.Cluster, e.Cause)
}

func (e *SnapshotFileMissingError) Unwrap() error { return e.Cause }

// Reason is SnapshotMissing.
func (e *SnapshotFileMissingError) Reason() string { return "SnapshotMissing" }

// Final is true: nothing brings it back.
func (e *SnapshotFileMissingError) Final() bool { return true }
