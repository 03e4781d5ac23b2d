package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

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

// TestPodsReplaceALostSSHKey needs what simulated machines lack: a kubelet and a container runtime that run a pod with
// the machine's shell.
func TestPodsReplaceALostSSHKey(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	if r := i.create("keyless", "--num_nodes", "2", "--wait"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	s, c := i.store(), i.cluster("keyless")
	ref := c.Ref()
	before, err := s.ReadSecret(t.Context(), ref, store.SecretSSHKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{store.SecretSSHKey, store.SecretAgentToken, store.SecretAgentPassword} {
		if err := s.DeleteSecret(t.Context(), ref, key); err != nil {
			t.Fatal(err)
		}
	}
	i.await("keyless", "with a new key", func(c api.Cluster) bool {
		done := slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool {
			if r.Action.Kind == api.ActionRestoreKeys && r.Error != "" {
				t.Fatalf("the keys were not restored: %s", r.Error)
			}
			return r.Action.Kind == api.ActionRestoreKeys && !r.Ended.IsZero()
		})
		in := c.Status.FindCondition(api.InSync)
		return done && in != nil && in.Status == api.ConditionTrue
	})
	after, err := s.ReadSecret(t.Context(), ref, store.SecretSSHKey)
	if err != nil || string(after) == string(before) {
		t.Errorf("the key is the old one, or %v", err)
	}
	if left := i.kubectl("keyless", "get", "pods", "-A", "-l", "app.kubernetes.io/name=skyctl-authorize-key", "-o",
		"name"); strings.TrimSpace(left) != "" {
		t.Errorf("pods are left:\n%s", left)
	}
	// The new key and token work: a worker is replaced with them.
	worker := i.cluster("keyless").Status.Machines[1]
	if err := i.docker.ContainerRemove(t.Context(), worker.Name,
		container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Fatal(err)
	}
	i.await("keyless", "repaired", func(c api.Cluster) bool {
		m := c.Status.Machines[1]
		return m.Incarnation != worker.Incarnation && m.State == api.MachineReady
	})
}
