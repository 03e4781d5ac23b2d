package e2e

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/poweroff"
	"github.com/sky-shift/skyctl/test/eventually"
)

// timer reports whether a timer is running on a host.
func (i *installation) timer(host, unit string) bool {
	_, err := i.onHost(host, "systemctl", "is-active", "--quiet", unit+".timer")
	return err == nil
}

func TestPowerOffTimerRunsUntilTheClusterIsReady(t *testing.T) {
	t.Parallel()
	i := newSky(t)
	r := i.try("create", "cluster", "timed", "--provision", "--cloud", "aws", "--cpus", "2+")
	if r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	host := ""
	eventually.HoldsWithin(t, patience, "the machine runs", func() bool {
		all, err := i.env.ListMachines(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.Running {
				host = m.Container
			}
		}
		return host != ""
	})
	eventually.Holds(t, "the first boot, or skyd, has started a timer", func() bool {
		return i.timer(host, poweroff.BootUnitName) || i.timer(host, poweroff.UnitName)
	})
	c := i.awaitReady("timed")
	if c.Status.Placement.PricePerMachine <= 0 {
		t.Fatal("the machine costs nothing: this test proves nothing")
	}
	for _, unit := range []string{poweroff.BootUnitName, poweroff.UnitName} {
		if i.timer(host, unit) {
			t.Errorf("the cluster is READY, and %s will power its machine off", unit)
		}
	}
	i.run("delete", "cluster", "timed", "--yes", "--wait")
}
