package e2e

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
)

// store opens the installation's store, with its secrets.
func (i *installation) store() *store.Store {
	i.t.Helper()
	cfg, err := config.Load(nil, func(name string) string {
		value := ""
		for _, entry := range i.env { // the last value counts
			if v, ok := strings.CutPrefix(entry, name+"="); ok {
				value = v
			}
		}
		return value
	})
	if err != nil {
		i.t.Fatal(err)
	}
	key, err := connect.ReadSecretsKey(cfg)
	if err != nil {
		i.t.Fatal(err)
	}
	s, err := connect.OpenStore(i.t.Context(), cfg, key)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = s.Close() })
	return s
}

// keysLost needs what simulated machines lack: a kubelet and a container runtime that run a pod with the machine's
// shell.
func keysLost(i *installation) {
	c := i.inSync("kept")
	s, ref := i.store(), c.Ref()
	before, err := s.ReadSecret(i.t.Context(), ref, store.SecretSSHKey)
	if err != nil {
		i.t.Fatal(err)
	}
	for _, key := range []string{store.SecretSSHKey, store.SecretAgentToken, store.SecretAgentPassword} {
		if err := s.DeleteSecret(i.t.Context(), ref, key); err != nil {
			i.t.Fatal(err)
		}
	}
	i.await("kept", "with a new key", func(c api.Cluster) bool {
		return slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool {
			if r.Action.Kind == api.ActionRestoreKeys && r.Error != "" {
				i.t.Fatalf("the keys were not restored: %s", r.Error)
			}
			return r.Action.Kind == api.ActionRestoreKeys && !r.Ended.IsZero()
		})
	})
	i.inSync("kept")
	after, err := s.ReadSecret(i.t.Context(), ref, store.SecretSSHKey)
	if err != nil || string(after) == string(before) {
		i.t.Errorf("the key is the old one, or %v", err)
	}
	if left := i.kubectl("kept", "get", "pods", "-A", "-l", "app.kubernetes.io/name=skyctl-authorize-key", "-o",
		"name"); strings.TrimSpace(left) != "" {
		i.t.Errorf("pods are left:\n%s", left)
	}
}
