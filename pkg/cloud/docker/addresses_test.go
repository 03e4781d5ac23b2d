package docker_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/test/dockersim"
)

// launchAll launches hosts of cluster pc, and returns their addresses.
func launchAll(t *testing.T, i *dockersim.Installation, c *docker.Cloud, machines int) []string {
	t.Helper()
	var addresses []string
	for n := range machines {
		m, err := i.Launch(t.Context(), c, "pc", n)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, m.Address)
	}
	return addresses
}

// wantAddresses fails the test unless the hosts of cluster pc are at these addresses.
func wantAddresses(t *testing.T, i *dockersim.Installation, c *docker.Cloud, want []string) {
	t.Helper()
	all, err := c.List(t.Context(), i.Owner("pc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Index < len(want) && m.Address != want[m.Index] {
			t.Errorf("%s is at %s, was at %s", m.Name, m.Address, want[m.Index])
		}
	}
}

func TestHostsKeepTheirAddressesInWhateverOrderTheyStart(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.Process(engine)
	was := launchAll(t, i, c, 2)
	for n := range was {
		engine.Stop(i.Name("pc", n))
	}
	m, err := i.Launch(t.Context(), c, "other", 0) // the first create after a reboot
	i.Check(err)
	if m.Address == was[0] || m.Address == was[1] {
		t.Errorf("a new host gets %s, the address of one that is stopped", m.Address)
	}
	for n := range was {
		i.Check(engine.Start(i.Name("pc", len(was)-1-n)))
	}
	wantAddresses(t, i, c, was)
}

func TestHostsOfTheVersionBeforeGetTheirAddressesBack(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.Process(engine)
	was := launchAll(t, i, c, 2)
	for n := range was {
		name := i.Name("pc", n)
		engine.Stop(name)
		engine.Unfix(name)
	}
	for n := range was { // as that version would have come up
		i.Check(engine.Start(i.Name("pc", n)))
	}
	all, err := c.List(t.Context(), i.Owner("pc"))
	i.Check(err)
	for _, m := range all {
		was[m.Index] = m.Address
	}
	for n := range was {
		engine.Stop(i.Name("pc", n))
	}
	for n := range was { // in the other order
		i.Check(engine.Start(i.Name("pc", len(was)-1-n)))
	}
	for n := range was {
		m, err := c.Start(t.Context(), i.Target("pc", n), was[n])
		i.Check(err)
		if m.Address != was[n] {
			t.Errorf("%s is at %s, not at %s, which is on record", m.Name, m.Address, was[n])
		}
	}
	wantAddresses(t, i, c, was)
	for n := range was {
		engine.Stop(i.Name("pc", n))
	}
	for n := range was {
		i.Check(engine.Start(i.Name("pc", len(was)-1-n)))
	}
	wantAddresses(t, i, c, was) // from now on they are fixed
}

func TestAHostWhoseAddressIsAnothersForGoodGetsANewOne(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.Process(engine)
	was := launchAll(t, i, c, 2)
	engine.Stop(i.Name("pc", 0))
	m, err := c.Start(t.Context(), i.Target("pc", 0), was[1])
	i.Check(err)
	if m.Address == was[1] || m.State != cloud.StateRunning {
		t.Errorf("it is %+v", m)
	}
	wantAddresses(t, i, c, []string{m.Address, was[1]})
}

func TestVolumesOfAHostThatWasRemovedByHandAreRemovedWithIt(t *testing.T) {
	for _, way := range []string{"its machine is terminated", "its cluster is released"} {
		i, engine := dockersim.NewInstallation(t, simImage)
		c := i.Process(engine)
		launchAll(t, i, c, 2)
		i.Check(engine.RemoveContainer(i.Name("pc", 0)))
		if f, _ := c.Inspect(t.Context()); !strings.Contains(strings.Join(f.Details, " "), "3 volumes of machine "+i.Name("pc", 0)) {
			t.Errorf("the check says %+v", f)
		}
		if way == "its machine is terminated" {
			i.Check(c.Terminate(t.Context(), i.Target("pc", 0)))
			if left := engine.Left(i.ID); len(left) != 5 { // the other machine, its volumes and the network
				t.Errorf("left: %q", left)
			}
		}
		i.Check(c.Terminate(t.Context(), i.Target("pc", 1)))
		i.Check(c.Release(t.Context(), i.Owner("pc")))
		i.WantNothingLeft(c)
	}
}

func TestVolumesOfAnotherClustersLostHostStay(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.Process(engine)
	launchAll(t, i, c, 1)
	_, err := i.Launch(t.Context(), c, "other", 0)
	i.Check(err)
	i.Check(engine.RemoveContainer(i.Name("other", 0))) // its head is lost, and somebody may want to save what it held
	i.Check(i.End(t.Context(), c, "pc", 1))
	if left := strings.Join(engine.Left(i.ID), " "); strings.Count(left, "volume ") != 3 {
		t.Errorf("left: %s", left)
	}
}
