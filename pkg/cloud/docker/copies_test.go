package docker_test

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

// copyOf copies a host with docker commit and docker run: the copy has all labels of the host, and another name and id.
func (s *site) copyOf(m cloud.Machine, name string) cloud.Machine {
	s.t.Helper()
	saved, err := s.engine.ContainerCommit(s.ctx, m.ID, container.CommitOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if _, err := s.engine.ImageRemove(s.ctx, saved.ID, image.RemoveOptions{Force: true}); err != nil {
			s.t.Log(err)
		}
	})
	made, err := s.engine.ContainerCreate(s.ctx,
		&container.Config{Image: saved.ID, Entrypoint: []string{"sleep",
			"3000"}}, &container.HostConfig{}, nil, nil, name)
	if err == nil {
		s.t.Cleanup(func() {
			_ = s.engine.ContainerRemove(s.ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		})
		err = s.engine.ContainerStart(s.ctx, made.ID, container.StartOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s.machine(made.ID)
}

// machine returns the listed machine with an id, or one without an ID.
func (s *site) machine(id string) cloud.Machine {
	s.t.Helper()
	all, err := s.ListMachines(s.ctx, s.owner)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range all {
		if m.ID == id {
			return m
		}
	}
	return cloud.Machine{}
}

// runs holds a machine to being there and running, or to being gone.
func (s *site) runs(what string, m cloud.Machine, want bool) {
	s.t.Helper()
	if now := s.machine(m.ID); (now.State == cloud.StateRunning) != want {
		s.t.Errorf("%s (%s) is %q", what, m.Name, now.State)
	}
}

func TestCopyOfAHostIsNotMistakenForIt(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	real := s.launch(req)
	backup := s.copyOf(real, "backup-"+real.Name)
	if backup.Incarnation != real.Incarnation || backup.Name == real.Name || backup.LabelledName() != real.Name {
		t.Fatalf("the copy is listed as %+v", backup)
	}
	// Without an id the two are indistinguishable: the copy may have been renamed.
	wantKind(t, s.TerminateMachine(s.ctx, req.ToTarget()), cloud.Conflict, real.Name, backup.Name, "same labels")
	s.runs("the host", real, true)
	s.runs("the copy", backup, true)

	mixed := cloud.TargetOf(backup)
	mixed.Incarnation = "another"
	wantKind(t, s.TerminateMachine(s.ctx, mixed), cloud.Conflict, backup.ID, "not changed")
	s.runs("the copy", backup, true)

	if err := s.TerminateMachine(s.ctx, cloud.TargetOf(real)); err != nil {
		t.Fatal(err)
	}
	s.runs("the host", real, false)
	s.runs("the copy", backup, true)
	if err := s.TerminateMachine(s.ctx, cloud.TargetOf(real)); err != nil {
		t.Errorf("a host that is gone: %v", err)
	}
	s.runs("the copy", backup, true)
	_, err := s.StartMachine(s.ctx, cloud.TargetOf(real), real.PrivateAddress)
	wantKind(t, err, cloud.Conflict, "does not exist")
}

func TestRenamedHostIsStartedAndTerminatedByID(t *testing.T) {
	s := newSite(t, docker.Options{})
	real := s.launch(s.request(1))
	backup := s.copyOf(real, "backup-"+real.Name)
	for _, m := range []cloud.Machine{real, backup} {
		if err := s.engine.ContainerKill(s.ctx, m.ID, "KILL"); err != nil {
			t.Fatal(err)
		}
	}
	for id, name := range map[string]string{real.ID: "old-" + real.Name, backup.ID: real.Name} {
		if err := s.engine.ContainerRename(s.ctx, id, "x-"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.engine.ContainerRename(s.ctx, backup.ID, real.Name); err != nil {
		t.Fatal(err)
	}
	m, err := s.StartMachine(s.ctx, cloud.TargetOf(real), real.PrivateAddress)
	if err != nil || m.ID != real.ID {
		t.Fatalf("started %+v, %v", m, err)
	}
	s.runs("the copy that has the host's name", backup, false)
	if err := s.TerminateMachine(s.ctx, cloud.TargetOf(real)); err != nil {
		t.Fatal(err)
	}
	if s.machine(real.ID).ID != "" || s.machine(backup.ID).ID == "" {
		t.Error("the copy was ended in the host's place")
	}
}
