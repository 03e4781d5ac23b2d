package skypilot_test

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
)

// TestMachineStartedElsewhereHasItsNewAddress stops and starts a machine as its owner can in the cloud's console, once
// unnoticed by SkyPilot, and once with a sweep in between. SkyPilot itself keeps the old address, or none.
func TestMachineStartedElsewhereHasItsNewAddress(t *testing.T) {
	w := start(t)
	c := w.newCloud(t, func(o *skypilot.Options) { o.AddressesEvery = time.Nanosecond })
	shared := w.machine(t)
	req, m := shared.req, &shared.m
	list := func(c *skypilot.Cloud) cloud.Machine {
		t.Helper()
		listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
		if err != nil || len(listed) != 1 || listed[0].ID != m.ID {
			t.Fatalf("listed %+v, %v", listed, err)
		}
		return listed[0]
	}
	restart := func(whileStopped func()) {
		t.Helper()
		before := w.living(t, req.Owner.Cluster)[0]
		if err := w.env.AWS.StopInstance(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		whileStopped()
		if err := w.env.AWS.StartInstance(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		if after := w.living(t, req.Owner.Cluster)[0]; after.PublicIP == before.PublicIP || after.State != "running" {
			t.Fatalf("the machine is %s at %s, and was at %s: this proves nothing", after.State, after.PublicIP,
				before.PublicIP)
		}
	}
	isFound := func(up cloud.Machine) {
		t.Helper()
		is := w.living(t, req.Owner.Cluster)[0]
		if up.State != cloud.StateRunning || up.Address != is.PublicIP || up.PrivateAddress != is.PrivateIP {
			t.Errorf("the machine is %s at %s (%s), want %s (%s)", up.State, up.Address, up.PrivateAddress, is.PublicIP,
				is.PrivateIP)
		}
		m.Address = up.Address
		got := ""
		eventually.Succeeds(t, "the machine, which may be booting, lets in", func() (err error) {
			got, err = tryLogIn(*m, shared.k, "sudo -n id -u")
			return err
		})
		if got != "0" {
			t.Errorf("sudo gives user %q, want root", got)
		}
	}
	restart(func() {})
	isFound(list(c))
	stopped := func() {
		if l := list(c); l.State != cloud.StateStopped {
			t.Fatalf("it is listed as %+v", l)
		}
	}
	restart(stopped)
	isFound(list(c))

	// The clouds' credentials, and SkyPilot's state, are with a team's server only.
	team := w.newCloud(t, func(o *skypilot.Options) { o.Endpoint = c.Endpoint() })
	restart(stopped)
	if l := list(team); l.State != cloud.StateStopped || l.NoStart {
		t.Errorf("a machine without an address is listed as %+v", l)
	}
	up, err := team.StartMachine(eventually.Context(t, 4*time.Minute), cloud.TargetOf(*m), m.PrivateAddress)
	if err != nil {
		t.Fatal(err)
	}
	isFound(up)
	isFound(list(team))
}
