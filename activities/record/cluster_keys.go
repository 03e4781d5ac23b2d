package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ensureClusterKeys creates the SSH key and the agent token of the cluster and the host key of each machine, if they
// are missing. It refuses to create keys again that machines already know.
func (a *Activities) ensureClusterKeys(ctx context.Context, ref api.Ref, machines []api.Machine) error {
	if err := a.checkNoKeysLost(ctx, ref); err != nil {
		return err
	}
	keys := []string{store.SecretSSHKey}
	for _, m := range machines {
		keys = append(keys, store.SecretHostKey(m.Incarnation))
	}
	secrets := map[string][]byte{}
	for _, key := range keys {
		private, _, err := remote.NewKeyPair()
		if err != nil {
			return err
		}
		secrets[key] = private
	}
	password, err := rke2.NewAgentToken()
	if err != nil {
		return err
	}
	secrets[store.SecretAgentPassword] = []byte(password)
	return a.Store.CreateSecrets(ctx, ref, secrets)
}

// checkNoKeysLost returns an error if machines already know keys that are missing now.
func (a *Activities) checkNoKeysLost(ctx context.Context, ref api.Ref) error {
	known, err := a.areKeysKnown(ctx, ref)
	if err != nil || !known {
		return err
	}
	var lost []string
	for _, key := range []string{store.SecretSSHKey, store.SecretAgentPassword} {
		_, err := a.Store.ReadSecret(ctx, ref, key)
		missing, damaged := new(store.NotFoundError), new(store.CorruptError)
		switch {
		case errors.As(err, &missing), errors.As(err, &damaged):
			lost = append(lost, key)
		case err != nil:
			return err
		}
	}
	if lost != nil {
		return &keysMissingError{cluster: ref.Name, keys: lost}
	}
	return nil
}

// areKeysKnown reports whether a machine of the cluster may know its keys. It reads all machines only if the control
// plane does not answer that.
func (a *Activities) areKeysKnown(ctx context.Context, ref api.Ref) (bool, error) {
	known := func(m api.Machine) bool { return m.State.MayExist() && m.State != api.MachineReserved }
	c, err := a.Store.ReadClusterPart(ctx, ref)
	if err == nil && !slices.ContainsFunc(c.Status.Machines, known) {
		c, err = activities.ReadCluster(ctx, a.Store, ref)
	}
	return err == nil && slices.ContainsFunc(c.Status.Machines, known), err
}

// keysMissingError says that etcd has lost secrets that existing machines know. The machines would refuse new ones.
type keysMissingError struct {
	cluster string
	keys    []string
}

func (e *keysMissingError) Error() string {
	return fmt.Sprintf("etcd has lost %s of cluster %s, which its machines know; they would refuse new ones: "+
		"restore etcd from a backup, or let skyctl reconcile %s restore them", strings.Join(e.keys, ", "), e.cluster,
		e.cluster)
}

// Reason is KeysMissing.
func (e *keysMissingError) Reason() string { return string(api.DriftKeysMissing) }

// Final is true: a repair restores them.
func (e *keysMissingError) Final() bool { return true }
