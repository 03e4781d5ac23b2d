package docker_test

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func TestStoppedHostStartsAtItsAddress(t *testing.T) {
	s := newSite(t, docker.Options{})
	first := s.launch(s.request(0))
	s.launch(s.request(1))
	s.run(first, "echo kept | sudo tee /var/lib/rancher/kept")
	if err := s.engine.ContainerStop(s.ctx, first.ID, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is as good as once
		m, err := s.StartMachine(s.ctx, cloud.TargetOf(first), first.PrivateAddress)
		if err != nil {
			t.Fatal(err)
		}
		if m.ID != first.ID || m.Address != first.Address || m.State != cloud.StateRunning {
			t.Errorf("started %+v, which was %+v", m, first)
		}
		if got := s.run(m, "cat /var/lib/rancher/kept"); got != "kept" {
			t.Errorf("its disk has %q", got)
		}
	}
}

func TestForeignHostIsNotStarted(t *testing.T) {
	s := newSite(t, docker.Options{})
	m := s.launch(s.request(0))
	if err := s.engine.ContainerKill(s.ctx, m.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	theirs := cloud.TargetOf(m)
	theirs.Owner.ClusterUID = "another"
	_, err := s.StartMachine(s.ctx, theirs, m.PrivateAddress)
	wantKind(t, err, cloud.Conflict, m.Name)
}

func TestRealHostsKeepTheirAddressesAndVolumes(t *testing.T) {
	s := newSite(t, docker.Options{})
	first, second := s.launch(s.request(0)), s.launch(s.request(1))
	for _, m := range []cloud.Machine{first, second} {
		s.stop(m.ID)
	}
	if third := s.launch(s.request(2)); third.Address == first.Address || third.Address == second.Address {
		t.Errorf("a new host gets %s, the address of one that is stopped", third.Address)
	}
	for _, m := range []cloud.Machine{second, first} {
		if err := s.engine.ContainerStart(s.ctx, m.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.ListMachines(s.ctx, s.owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		for _, was := range []cloud.Machine{first, second} {
			if m.ID == was.ID && m.Address != was.Address {
				t.Errorf("%s is at %s, was at %s", m.Name, m.Address, was.Address)
			}
		}
	}
	if err := s.engine.ContainerRemove(s.ctx, first.ID, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if left := s.volumesOf(first.Name); left != 3 {
		t.Errorf("a host removed by hand left %d labelled volumes, want 3", left)
	}
	if err := s.TerminateMachine(s.ctx, cloud.TargetOf(first)); err != nil {
		t.Fatal(err)
	}
	if left := s.volumesOf(first.Name); left != 0 {
		t.Errorf("%d of them remain", left)
	}
}

// volumesOf counts the volumes that are labelled as a machine's.
func (s *site) volumesOf(machine string) int {
	s.t.Helper()
	found, err := s.engine.VolumeList(s.ctx, volume.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", cloud.LabelInstallation+"="+s.owner.Installation), filters.Arg("label",
			"skyctl-machine="+machine))})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(found.Volumes)
}
