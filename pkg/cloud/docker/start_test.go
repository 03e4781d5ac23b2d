package docker_test

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func TestAHostThatWasStoppedStartsAtTheAddressThatItHad(t *testing.T) {
	s := newSite(t, docker.Options{})
	first := s.launch(s.request(0))
	s.launch(s.request(1))
	s.run(first, "echo kept | sudo tee /var/lib/rancher/kept")
	if err := s.engine.ContainerStop(s.ctx, first.ID, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is as good as once
		m, err := s.Start(s.ctx, cloud.TargetOf(first), first.PrivateAddress)
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

func TestAHostThatIsAnothersIsNotStarted(t *testing.T) {
	s := newSite(t, docker.Options{})
	m := s.launch(s.request(0))
	if err := s.engine.ContainerKill(s.ctx, m.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	theirs := cloud.TargetOf(m)
	theirs.Owner.ClusterUID = "another"
	_, err := s.Start(s.ctx, theirs, m.PrivateAddress)
	wantKind(t, err, cloud.Conflict, m.Name)
}
