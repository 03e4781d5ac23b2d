package docker_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/test/dockersim"
	"github.com/sky-shift/skyctl/test/needs"
)

// launchAll launches hosts of cluster pc, and returns their addresses.
func launchAll(t *testing.T, i *dockersim.Installation, c *docker.Cloud, machines int) []string {
	t.Helper()
	var addresses []string
	for n := range machines {
		m, err := i.LaunchMachine(t.Context(), c, "pc", n)
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
	all, err := c.ListMachines(t.Context(), i.ClusterOwner("pc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Index < len(want) && m.Address != want[m.Index] {
			t.Errorf("%s is at %s, was at %s", m.Name, m.Address, want[m.Index])
		}
	}
}

func TestHostsKeepTheirAddressesInAnyStartOrder(t *testing.T) {
	needs.Root(t)
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.NewProcess(engine)
	was := launchAll(t, i, c, 2)
	for n := range was {
		engine.StopContainer(i.MachineName("pc", n))
	}
	m, err := i.LaunchMachine(t.Context(), c, "other", 0) // the first create after a reboot
	i.RequireNoError(err)
	if m.Address == was[0] || m.Address == was[1] {
		t.Errorf("a new host gets %s, the address of one that is stopped", m.Address)
	}
	for n := range was {
		i.RequireNoError(engine.StartContainer(i.MachineName("pc", len(was)-1-n)))
	}
	wantAddresses(t, i, c, was)
}

func TestHostsOfEarlierVersionsKeepTheirAddresses(t *testing.T) {
	needs.Root(t)
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.NewProcess(engine)
	was := launchAll(t, i, c, 2)
	for n := range was {
		name := i.MachineName("pc", n)
		engine.StopContainer(name)
		engine.MakeLegacyContainer(name)
	}
	for n := range was { // as that version would have come up
		i.RequireNoError(engine.StartContainer(i.MachineName("pc", n)))
	}
	all, err := c.ListMachines(t.Context(), i.ClusterOwner("pc"))
	i.RequireNoError(err)
	for _, m := range all {
		was[m.Index] = m.Address
	}
	for n := range was {
		engine.StopContainer(i.MachineName("pc", n))
	}
	for n := range was { // in the other order
		i.RequireNoError(engine.StartContainer(i.MachineName("pc", len(was)-1-n)))
	}
	for n := range was {
		m, err := c.StartMachine(t.Context(), i.MachineTarget("pc", n), was[n])
		i.RequireNoError(err)
		if m.Address != was[n] {
			t.Errorf("%s is at %s, not at %s, which is on record", m.Name, m.Address, was[n])
		}
	}
	wantAddresses(t, i, c, was)
	for n := range was {
		engine.StopContainer(i.MachineName("pc", n))
	}
	for n := range was {
		i.RequireNoError(engine.StartContainer(i.MachineName("pc", len(was)-1-n)))
	}
	wantAddresses(t, i, c, was) // from now on they are fixed
}

func TestHostGetsANewAddressIfItsOwnIsTaken(t *testing.T) {
	needs.Root(t)
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.NewProcess(engine)
	was := launchAll(t, i, c, 2)
	engine.StopContainer(i.MachineName("pc", 0))
	m, err := c.StartMachine(t.Context(), i.MachineTarget("pc", 0), was[1])
	i.RequireNoError(err)
	if m.Address == was[1] || m.State != cloud.StateRunning {
		t.Errorf("it is %+v", m)
	}
	wantAddresses(t, i, c, []string{m.Address, was[1]})
}

func TestVolumesOfAHostRemovedByHandAreRemoved(t *testing.T) {
	needs.Root(t)
	for _, way := range []string{"its machine is terminated", "its cluster is released"} {
		i, engine := dockersim.NewInstallation(t, simImage)
		c := i.NewProcess(engine)
		launchAll(t, i, c, 2)
		i.RequireNoError(engine.RemoveContainer(i.MachineName("pc", 0)))
		if f, _ := c.InspectProvider(t.Context()); !strings.Contains(strings.Join(f.Details, " "),
			"3 volumes of machine "+i.MachineName("pc", 0)) {
			t.Errorf("the check reports %+v", f)
		}
		if way == "its machine is terminated" {
			i.RequireNoError(c.TerminateMachine(t.Context(), i.MachineTarget("pc", 0)))
			if left := engine.ListLeftovers(i.ID); len(left) != 5 { // the other machine, its volumes and the network
				t.Errorf("left: %q", left)
			}
		}
		i.RequireNoError(c.TerminateMachine(t.Context(), i.MachineTarget("pc", 1)))
		i.RequireNoError(c.RemoveClusterResources(t.Context(), i.ClusterOwner("pc")))
		i.WantNothingLeft(c)
	}
}

func TestVolumesOfAnotherClusterStay(t *testing.T) {
	needs.Root(t)
	i, engine := dockersim.NewInstallation(t, simImage)
	c := i.NewProcess(engine)
	launchAll(t, i, c, 1)
	_, err := i.LaunchMachine(t.Context(), c, "other", 0)
	i.RequireNoError(err)
	// its head is lost, and its data may still be saved
	i.RequireNoError(engine.RemoveContainer(i.MachineName("other", 0)))
	i.RequireNoError(i.TerminateCluster(t.Context(), c, "pc", 1))
	if left := strings.Join(engine.ListLeftovers(i.ID), " "); strings.Count(left, "volume ") != 3 {
		t.Errorf("left: %s", left)
	}
}
