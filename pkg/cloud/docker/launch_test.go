package docker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func slogTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (s *site) stop(id string) {
	s.t.Helper()
	now := 0
	if err := s.engine.ContainerStop(s.ctx, id, container.StopOptions{Timeout: &now}); err != nil {
		s.t.Fatal(err)
	}
}

// wantKind fails the test unless err has the kind and contains all of the words.
func wantKind(t *testing.T, err error, kind cloud.ErrorKind, words ...string) {
	t.Helper()
	var typed *cloud.Error
	if !errors.As(err, &typed) || typed.Kind != kind {
		t.Fatalf("got %v, want a %s error", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not contain %q", err, w)
		}
	}
}

func TestConcurrentSubmitsCreateOneHost(t *testing.T) {
	s, twin := newSite(t, docker.Options{}), newSite(t, docker.Options{})
	if err := s.EnsureImage(s.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	req := s.request(0)
	refs := make([]string, 8)
	var wg sync.WaitGroup
	for i := range refs {
		wg.Go(func() {
			from := s.Cloud
			if i%2 == 1 {
				from = twin.Cloud // as another process would
			}
			var err error
			if refs[i], err = from.SubmitLaunch(s.ctx, req); err != nil {
				t.Errorf("submit %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, ref := range refs {
		if ref != refs[0] || ref == "" {
			t.Fatalf("references differ: %q", refs)
		}
	}
	m := s.await(req, s.submit(req))
	if m.ID != refs[0] {
		t.Errorf("submitted again it is %s, was %s", m.ID, refs[0])
	}
	s.run(m, "true")
	if all, err := s.ListMachines(s.ctx, s.owner); err != nil || len(all) != 1 {
		t.Errorf("there are %d machines: %v", len(all), err)
	}
	if got := s.networks(); len(got) != 1 {
		t.Errorf("there are %d networks", len(got))
	}
}

func TestForeignContainerIsNotChanged(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	if err := s.EnsureImage(s.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	foreign, err := s.engine.ContainerCreate(s.ctx, &container.Config{Image: s.ImageName()}, nil, nil, nil, req.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer s.engine.ContainerRemove(s.ctx, foreign.ID, container.RemoveOptions{Force: true})

	_, err = s.SubmitLaunch(s.ctx, req)
	wantKind(t, err, cloud.Conflict, req.Name, foreign.ID[:12], "skyctl did not create")
	if err := s.TerminateMachine(s.ctx, req.ToTarget()); err != nil {
		t.Errorf("a stranger of the name keeps ours from being gone: %v", err)
	}
	got, err := s.engine.ContainerInspect(s.ctx, foreign.ID)
	if err != nil || got.State.Status != container.StateCreated {
		t.Errorf("the foreign container was changed: %+v, %v", got.State, err)
	}
}

func TestMachineOfAnotherOwnerIsNotChanged(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	m := s.launch(req)
	for whose, change := range map[string]func(*cloud.LaunchRequest){
		"earlier incarnation":  func(r *cloud.LaunchRequest) { r.Incarnation = "newer" },
		"another cluster":      func(r *cloud.LaunchRequest) { r.Owner.ClusterUID = "another" },
		"another installation": func(r *cloud.LaunchRequest) { r.Owner.Installation = "another" },
		"another SSH host key": func(r *cloud.LaunchRequest) { r.HostKey = newPrivateKey(t) },
	} {
		other := req
		change(&other)
		_, err := s.SubmitLaunch(s.ctx, other)
		wantKind(t, err, cloud.Conflict, req.Name, m.ID[:12], whose)
	}
	otherCluster, otherInstallation := s.owner, s.owner
	otherCluster.ClusterUID, otherInstallation.Installation = "another", "another"
	for _, other := range []cloud.Owner{otherCluster, otherInstallation} {
		theirs := req.ToTarget()
		theirs.Owner = other
		if err := s.TerminateMachine(s.ctx, theirs); err != nil {
			t.Errorf("another's machine of the name keeps theirs from being gone: %v", err)
		}
	}
	s.run(m, "true")
}

func TestInterruptedLaunchIsCompleted(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	if err := s.EnsureImage(s.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	created, err := s.CreateContainer(s.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := s.ListMachines(s.ctx, s.owner)
	if err != nil || len(listed) != 1 || listed[0].State != cloud.StatePending {
		t.Fatalf("the incomplete machine is listed as %+v, %v", listed, err)
	}
	m := s.launch(req)
	if m.ID != created {
		t.Errorf("it is %s, not %s, which was there", m.ID, created)
	}
	s.run(m, "true")
}

func TestLaunchSurvivesTheLossOfItsNetwork(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	if err := s.EnsureImage(s.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateContainer(s.ctx, req); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.NetworkRemove(s.ctx, s.NetworkName(s.owner)); err != nil {
		t.Fatal(err)
	}
	s.run(s.launch(req), "true")
}

// TestLaunchWorksWithADuplicateNetwork is about engines before API 1.44, which allow it.
func TestLaunchWorksWithADuplicateNetwork(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	if err := s.EnsureImage(s.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateContainer(s.ctx, req); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"Name": %q, "Labels": {%q: %q}}`, s.NetworkName(s.owner), cloud.LabelInstallation,
		s.owner.Installation)
	twin, err := s.engine.HTTPClient().Post("http://docker/v1.41/networks/create", "application/json",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	twin.Body.Close()
	first, second := s.launch(req), s.launch(s.request(1))
	if got := s.networks(); len(got) != 1 {
		t.Errorf("there are %d networks", len(got))
	}
	s.run(first, "ping -c 1 -W 5 "+second.PrivateAddress)
}

func TestExitedHostIsReportedWithItsConsole(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	m := s.launch(req)
	s.run(m, "echo 'the disk is on fire' | sudo tee /dev/console")
	if err := s.engine.ContainerKill(s.ctx, m.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	_, err := s.AwaitLaunch(s.ctx, req, m.ID, func(string) {})
	wantKind(t, err, cloud.Infeasible, req.Name, m.ID[:12], "exited", "the disk is on fire")

	if err := s.TerminateMachine(s.ctx, req.ToTarget()); err != nil {
		t.Fatal(err)
	}
	_, err = s.AwaitLaunch(s.ctx, req, m.ID, func(string) {})
	wantKind(t, err, cloud.Infeasible, req.Name, "gone")
}

func TestSilentHostFailsAtTheDeadline(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	m := s.launch(req)
	s.run(m, "sudo systemctl stop ssh.service")
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second) // on a busy computer the engine's answers take their time
	defer cancel()
	_, err := s.AwaitLaunch(ctx, req, m.ID, func(string) {})
	wantKind(t, err, cloud.Transient, req.Name, "sshd does not answer")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not name the deadline", err)
	}
}

func TestNetworkIsRemovedWithTheLastHost(t *testing.T) {
	s := newSite(t, docker.Options{})
	s.submit(s.request(0))
	other := s.request(0)
	other.Owner.Cluster, other.Owner.ClusterUID = "x"+s.owner.Cluster, randomHex(t, 8)
	other.Name = api.MachineName(other.Owner.Cluster, 0)
	s.submit(other)
	for _, step := range []struct {
		end      cloud.LaunchRequest
		networks int
	}{
		{cloud.LaunchRequest{Owner: s.owner, Name: api.MachineName(s.owner.Cluster, 0)}, 1},
		{other, 0},
	} {
		if err := s.TerminateMachine(s.ctx, step.end.ToTarget()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.RemoveClusterResources(s.ctx, step.end.Owner); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.networks(); len(got) != step.networks {
			t.Fatalf("after the end of %s there are %d networks, want %d", step.end.Name, len(got), step.networks)
		}
	}
}

func TestForeignNetworkIsNotChanged(t *testing.T) {
	name := "skyctl-test-" + randomHex(t, 4)
	s := newSite(t, docker.Options{Network: name})
	if err := s.EnsureImage(s.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	foreign, err := s.engine.NetworkCreate(s.ctx, name, network.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.engine.NetworkRemove(s.ctx, foreign.ID)
	_, err = s.SubmitLaunch(s.ctx, s.request(0))
	wantKind(t, err, cloud.Conflict, name)
	if err := s.RemoveClusterResources(s.ctx, s.owner); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.NetworkInspect(s.ctx, foreign.ID, network.InspectOptions{}); err != nil {
		t.Errorf("the foreign network was changed: %v", err)
	}
}

func (s *site) networks() []network.Summary {
	s.t.Helper()
	found, err := s.engine.NetworkList(s.ctx, network.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", cloud.LabelInstallation+"="+s.owner.Installation)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

func TestUnreachableEngineIsExplained(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/none.sock")
	c, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	spec := api.GroupSpec{NumNodes: 1}
	wantKind(t, c.ValidateSpec(ctx, spec), cloud.Unreachable, "none.sock", "systemctl start docker", "DOCKER_HOST")
	_, err = c.ListMachines(ctx, cloud.Owner{Installation: "x"})
	wantKind(t, err, cloud.Unreachable, "list machines", "none.sock")
}

func TestRankPlacementsAsksTheRealEngine(t *testing.T) {
	s := newSite(t, docker.Options{})
	plan, err := s.RankPlacements(s.ctx, api.GroupSpec{NumNodes: 1, Memory: "1"}, api.Neighbors{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.engine.Info(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 1 || plan[0].Region != "local" || plan[0].CPUs != float64(min(2, info.NCPU)) ||
		plan[0].MemoryGiB != 1 || plan[0].DiskGiB <= 0 || plan[0].PriceTotal != 0 {
		t.Errorf("the plan is %+v", plan)
	}
	if got := s.networks(); len(got) != 0 {
		t.Error("a plan created a network")
	}
	var field *api.FieldError
	if err := s.ValidateSpec(s.ctx, api.GroupSpec{NumNodes: 1, Memory: "65536"}); !errors.As(err, &field) {
		t.Errorf("64 TiB were accepted: %v", err)
	}
}
