package docker_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

// launchAll launches hosts of cluster pc, and returns their addresses.
func (i *installation) launchAll(c *docker.Cloud, machines int) []string {
	i.t.Helper()
	var addresses []string
	for n := range machines {
		m, err := launchWith(i.t.Context(), c, i.request("pc", n))
		if err != nil {
			i.t.Fatal(err)
		}
		addresses = append(addresses, m.Address)
	}
	return addresses
}

// wantAddresses fails the test unless the hosts of cluster pc are at these addresses.
func (i *installation) wantAddresses(c *docker.Cloud, want []string) {
	i.t.Helper()
	all, err := c.List(i.t.Context(), i.owner("pc"))
	if err != nil {
		i.t.Fatal(err)
	}
	for _, m := range all {
		if m.Index < len(want) && m.Address != want[m.Index] {
			i.t.Errorf("%s is at %s, was at %s", m.Name, m.Address, want[m.Index])
		}
	}
}

func (i *installation) check(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

func TestHostsKeepTheirAddressesInWhateverOrderTheyStart(t *testing.T) {
	i := newInstallation(t, "host:1")
	c := i.process(i.engine)
	was := i.launchAll(c, 2)
	for n := range was {
		i.engine.Stop(api.MachineName("pc", n))
	}
	m, err := launchWith(t.Context(), c, i.request("other", 0)) // the first create after a reboot
	i.check(err)
	if m.Address == was[0] || m.Address == was[1] {
		t.Errorf("a new host gets %s, the address of one that is stopped", m.Address)
	}
	for n := range was {
		i.check(i.engine.Start(api.MachineName("pc", len(was)-1-n)))
	}
	i.wantAddresses(c, was)
}

func TestHostsOfTheVersionBeforeGetTheirAddressesBack(t *testing.T) {
	i := newInstallation(t, "host:1")
	c := i.process(i.engine)
	was := i.launchAll(c, 2)
	for n := range was {
		name := api.MachineName("pc", n)
		i.engine.Stop(name)
		i.engine.Unfix(name)
	}
	for n := range was { // as that version would have come up
		i.check(i.engine.Start(api.MachineName("pc", n)))
	}
	all, err := c.List(t.Context(), i.owner("pc"))
	i.check(err)
	for _, m := range all {
		was[m.Index] = m.Address
	}
	for n := range was {
		i.engine.Stop(api.MachineName("pc", n))
	}
	for n := range was { // in the other order
		i.check(i.engine.Start(api.MachineName("pc", len(was)-1-n)))
	}
	for n := range was {
		m, err := c.Start(t.Context(), targetOf(i.owner("pc"), n), was[n])
		i.check(err)
		if m.Address != was[n] {
			t.Errorf("%s is at %s, not at %s, which is on record", m.Name, m.Address, was[n])
		}
	}
	i.wantAddresses(c, was)
	for n := range was {
		i.engine.Stop(api.MachineName("pc", n))
	}
	for n := range was {
		i.check(i.engine.Start(api.MachineName("pc", len(was)-1-n)))
	}
	i.wantAddresses(c, was) // from now on they are fixed
}

func TestAHostWhoseAddressIsAnothersForGoodGetsANewOne(t *testing.T) {
	i := newInstallation(t, "host:1")
	c := i.process(i.engine)
	was := i.launchAll(c, 2)
	i.engine.Stop(api.MachineName("pc", 0))
	m, err := c.Start(t.Context(), targetOf(i.owner("pc"), 0), was[1])
	i.check(err)
	if m.Address == was[1] || m.State != cloud.StateRunning {
		t.Errorf("it is %+v", m)
	}
	i.wantAddresses(c, []string{m.Address, was[1]})
}

func TestVolumesOfAHostThatWasRemovedByHandAreRemovedWithIt(t *testing.T) {
	for _, way := range []string{"its machine is terminated", "its cluster is released"} {
		i := newInstallation(t, "host:1")
		c := i.process(i.engine)
		i.launchAll(c, 2)
		i.check(i.engine.RemoveContainer(api.MachineName("pc", 0)))
		if f, _ := c.Inspect(t.Context()); !strings.Contains(strings.Join(f.Details, " "), "3 volumes of machine sky-pc-0") {
			t.Errorf("the check says %+v", f)
		}
		if way == "its machine is terminated" {
			i.check(c.Terminate(t.Context(), targetOf(i.owner("pc"), 0)))
			if left := i.engine.Left(); len(left) != 5 { // the other machine, its volumes and the network
				t.Errorf("left: %q", left)
			}
		}
		i.check(c.Terminate(t.Context(), targetOf(i.owner("pc"), 1)))
		i.check(c.Release(t.Context(), i.owner("pc")))
		i.wantNothingLeft(c)
	}
}

func TestVolumesOfAnotherClustersLostHostStay(t *testing.T) {
	i := newInstallation(t, "host:1")
	c := i.process(i.engine)
	i.launchAll(c, 1)
	_, err := launchWith(t.Context(), c, i.request("other", 0))
	i.check(err)
	i.check(i.engine.RemoveContainer(api.MachineName("other", 0))) // its head is lost, and somebody may want to save what it held
	i.check(endWith(t.Context(), c, i.owner("pc"), 1))
	if left := strings.Join(i.engine.Left(), " "); strings.Count(left, "volume ") != 3 {
		t.Errorf("left: %s", left)
	}
}
