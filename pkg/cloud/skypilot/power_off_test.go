package skypilot_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/eventually"
)

// billing is canQueryAWS at a price.
func billing(region string) api.Placement {
	p := onAWS(region)
	p.PricePerMachine, p.PriceTotal = 0.085, 0.085
	return p
}

// onHost runs a command on the Docker host that is the one instance of a cluster, which needs no way into the machine.
func (w *world) onHost(t *testing.T, cluster string, args ...string) (string, bool) {
	t.Helper()
	all, err := w.env.ListMachines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range w.living(t, cluster) {
		for _, m := range all {
			if m.Running && m.Name == i.ID {
				out, err := exec.CommandContext(t.Context(), "docker",
					append([]string{"exec", m.Container}, args...)...).CombinedOutput()
				return strings.TrimSpace(string(out)), err == nil
			}
		}
	}
	return "no such machine yet", false
}

func TestFirstBootOfABilledMachineStartsThePowerOffTimer(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	k := newKey(t)
	req := launchOf("deadman", 0, billing("us-east-1"), k)
	ref := submit(t, c, req)
	timer := cloud.BootPowerOffUnit + ".timer"
	// No client has logged in yet: the timer runs even if none ever does.
	eventually.HoldsWithin(t, 6*time.Minute, "the timer is set", func() bool {
		said, ok := w.onHost(t, "deadman", "systemctl", "is-active", timer)
		return ok && said == "active"
	})
	if said, ok := w.onHost(t, "deadman", "systemctl", "show", "-p", "TimersMonotonic", "--value", timer); !ok ||
		!strings.Contains(said, "OnActiveUSec=3h") {
		t.Errorf("the timer: %q", said)
	}
	m := await(t, c, req, ref)
	await(t, c, req, ref) // a second time changes nothing
	if got := logIn(t, m, k, "systemctl is-active "+timer); got != "active" {
		t.Errorf("the timer after the first login: %q", got)
	}
	logIn(t, m, k, "sudo -n systemctl stop "+timer)
	if got := logIn(t, m, k, "systemctl is-active "+timer+" || true"); got != "inactive" {
		t.Errorf("the stopped timer: %q", got)
	}
}
