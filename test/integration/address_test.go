package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestMachinesAtNewAddressesAreFoundAgain(t *testing.T) {
	for name, moved := range map[string][]int{"swapped": {0, 1}, "head": {0}, "worker": {2}, "round": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ref := w.create(name, 3, client.CreateOptions{})
			before := w.awaitReady(ref)
			var names []string
			for _, i := range moved {
				names = append(names, api.MachineName(name, i))
			}
			if err := w.cloud.RebootAtNewAddresses(names...); err != nil {
				t.Fatal(err)
			}
			after := w.repair(ref)
			w.healthy(ref, 3)
			for _, m := range w.cloud.ExistingMachines("sky-" + name + "-") {
				r, was := after.Status.Machines[m.Index], before.Status.Machines[m.Index]
				if r.Address != m.Address || r.PrivateAddress != m.PrivateAddress || r.SSHPort != m.SSHPort {
					t.Errorf("%s is at %s:%d, on record at %s:%d", m.Name, m.Address, m.SSHPort, r.Address, r.SSHPort)
				}
				if r.HostKey != was.HostKey || r.Incarnation != was.Incarnation ||
					r.HasOutdatedConfig(&after.Status.Machines[0]) {
					t.Errorf("%s is on record as %+v, was %+v", m.Name, r, was)
				}
			}
			for _, name := range names {
				lastRepair(t, after, api.ActionRecordAddress, name)
			}
			head := after.Status.Machines[0].Address
			kubeconfig, err := w.store.ReadSecret(t.Context(), ref, store.SecretKubeconfig)
			if err != nil || !strings.Contains(string(kubeconfig), "https://"+head+":6443") ||
				!strings.Contains(after.Status.Endpoint, head) {
				t.Errorf("the kubeconfig does not lead to %s (%v); endpoint %s", head, err, after.Status.Endpoint)
			}
			file, err := os.ReadFile(filepath.Join(w.home, name, "kubeconfig"))
			if err != nil || string(file) != string(kubeconfig) {
				t.Errorf("the user's kubeconfig is not the stored one: %v", err)
			}
		})
	}
}
