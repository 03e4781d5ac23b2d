package client

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// WriteSecret stores a secret that a person names. It needs the secrets key of the installation. If one with the name
// exists, replace has its values replaced; otherwise the error is a *store.SecretExistsError. Errors about the secret
// itself are *api.FieldErrors, joined.
func (c *Client) WriteSecret(ctx context.Context, name string, values map[string][]byte,
	replace bool) (api.NamedSecret, error) {
	if err := api.ValidateSecret(name, values); err != nil {
		return api.NamedSecret{}, err
	}
	s, err := c.OpenSecretStore(ctx)
	if err != nil {
		return api.NamedSecret{}, fmt.Errorf("storing secret %s: %w", name, err)
	}
	defer func() { _ = s.Close() }() // what was written is confirmed
	// Workers could not read what another key encrypts.
	if err := s.RequireSecretsKey(ctx); err != nil {
		return api.NamedSecret{}, fmt.Errorf("storing secret %s: %w: set the path of the right key with %s", name,
			err,
			c.cfg.HowToSet("secretsKeyFile"))
	}
	return s.WriteNamedSecret(ctx, name, values, replace, c.now())
}

// ListSecrets returns the secrets that people stored, by name, without their values.
func (c *Client) ListSecrets(ctx context.Context) ([]api.NamedSecret, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	return s.ListNamedSecrets(ctx)
}

// ListSecretUsers returns the clusters that refer to each of the secrets, and the snapshots that it opens. Those with a
// damaged record are left out.
func (c *Client) ListSecretUsers(ctx context.Context, secrets []api.NamedSecret) (map[string]api.SecretUsers, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	clusters, err := s.ListClusters(ctx)
	if damaged := new(store.CorruptError); err != nil && !errors.As(err, &damaged) {
		return nil, err
	}
	snapshots, err := s.ListSnapshots(ctx, "")
	if damaged := new(store.CorruptError); err != nil && !errors.As(err, &damaged) {
		return nil, err
	}
	users := map[string]api.SecretUsers{}
	for _, secret := range secrets {
		var needing api.SecretUsers
		for _, cl := range clusters {
			if slices.Contains(cl.Spec.SecretNames(), secret.Name) {
				needing.Clusters = append(needing.Clusters, cl.Metadata.Name)
			}
		}
		for _, kept := range api.SnapshotsOpenedBy(secret.Name, clusters, snapshots) {
			needing.Snapshots = append(needing.Snapshots, kept.Cluster+"/"+kept.Name)
		}
		users[secret.Name] = needing
	}
	return users, nil
}

// DeleteSecret deletes a secret. If a cluster refers to it, or a snapshot is in a storage that it opens, the error is a
// *store.SecretInUseError, unless force is set; if there is none with the name, a *store.SecretMissingError.
func (c *Client) DeleteSecret(ctx context.Context, name string, force bool) error {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return err
	}
	return s.DeleteNamedSecret(ctx, name, force)
}

// CheckSecretReferences checks that the secrets and keys exist that a spec refers to. Its errors are *api.FieldErrors,
// joined.
func (c *Client) CheckSecretReferences(ctx context.Context, spec api.ClusterSpec) error {
	return c.checkReferences(ctx, spec.SecretReferences())
}

// checkNewSecretReferences does the same for what a changed spec refers to and the one before did not.
func (c *Client) checkNewSecretReferences(ctx context.Context, before, after api.ClusterSpec) error {
	known := before.SecretReferences()
	return c.checkReferences(ctx, slices.DeleteFunc(after.SecretReferences(), func(r api.SecretReference) bool {
		return slices.ContainsFunc(known, func(k api.SecretReference) bool { return reflect.DeepEqual(k, r) })
	}))
}

func (c *Client) checkReferences(ctx context.Context, references []api.SecretReference) error {
	if len(references) == 0 {
		return nil
	}
	stored, err := c.ListSecrets(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, r := range references {
		if err := checkSecretReference(r, stored); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func checkSecretReference(r api.SecretReference, stored []api.NamedSecret) error {
	i := slices.IndexFunc(stored, func(n api.NamedSecret) bool { return n.Name == r.Secret })
	if i < 0 {
		return &api.FieldError{Field: r.Field, Value: r.Secret,
			Want: "a secret that exists; to store it: skyctl create secret " + r.Secret}
	}
	var wanted []string
	for _, keys := range r.KeySets {
		if stored[i].HasKeys(keys) {
			return nil
		}
		wanted = append(wanted, strings.Join(keys, " and "))
	}
	return &api.FieldError{Field: r.Field, Value: r.Secret, Want: fmt.Sprintf("a secret with the key %s; it has %s",
		strings.Join(wanted, ", or "), strings.Join(stored[i].KeyNames(), ", "))}
}
