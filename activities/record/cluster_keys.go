package record

import (
	"context"
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
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return err
	}
	known := func(m api.Machine) bool { return m.State.MayExist() && m.State != api.MachineReserved }
	if !slices.ContainsFunc(c.Status.Machines, known) {
		return nil
	}
	usable, err := a.Store.ListUsableSecrets(ctx, ref)
	if err != nil {
		return err
	}
	var lost []string
	for _, key := range []string{store.SecretSSHKey, store.SecretAgentPassword} {
		if !usable[key] {
			lost = append(lost, key)
		}
	}
	if lost != nil {
		return &keysMissingError{cluster: ref.Name, keys: lost}
	}
	return nil
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
