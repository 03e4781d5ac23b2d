package docker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func (s *site) isolatedRequest() cloud.IsolatedRequest {
	return cloud.IsolatedRequest{
		Owner: s.owner, Name: "isolated-" + randomHex(s.t, 4), MemoryGiB: 1,
		MemoryDirs: []string{"/var/lib/rancher", "/etc/rancher"}, DiskDirs: []string{"/var/lib/rancher/rke2/disk"},
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(s.user.PublicKey())), HostKey: newPrivateKey(s.t),
	}
}

// isolatedNetwork is the name of the network of the site's isolated hosts.
func (s *site) isolatedNetwork() string { return "skyctl-isolated-" + s.owner.Installation[:12] }

// isolatedLeft are the objects of the site's isolated hosts that the engine has. It can have others', too.
func (s *site) isolatedLeft() []string {
	s.t.Helper()
	match := func(own filters.KeyValuePair) filters.Args {
		return filters.NewArgs(filters.Arg("label", "skyctl-scratch=isolated"), own)
	}
	labelled := match(filters.Arg("label", cloud.LabelClusterUID+"="+s.owner.ClusterUID))
	hosts, err := s.engine.ContainerList(s.ctx, container.ListOptions{All: true, Filters: labelled})
	networks, errNetworks := s.engine.NetworkList(s.ctx,
		network.ListOptions{Filters: match(filters.Arg("name", s.isolatedNetwork()))})
	volumes, errVolumes := s.engine.VolumeList(s.ctx, volume.ListOptions{Filters: labelled})
	if err := errors.Join(err, errNetworks, errVolumes); err != nil {
		s.t.Fatal(err)
	}
	var left []string
	for _, h := range hosts {
		left = append(left, h.Names...)
	}
	for _, n := range networks {
		left = append(left, n.Name)
	}
	for _, v := range volumes.Volumes {
		left = append(left, v.Name)
	}
	return left
}

func TestIsolatedHostReachesNothing(t *testing.T) {
	s := newSite(t, docker.Options{})
	other := s.launch(s.request(0))
	quiet := func(string) {}
	err := s.RunIsolated(s.ctx, s.isolatedRequest(), quiet, func(_ context.Context, m cloud.Machine) error {
		const types = "for d in /var/lib/rancher /etc/rancher /tmp; do findmnt -no FSTYPE $d; done | sort -u"
		if got := s.run(m, types); got != "tmpfs" {
			t.Errorf("its directories are on %s", got)
		}
		if got := s.run(m, "findmnt -no FSTYPE /var/lib/rancher/rke2/disk"); got == "tmpfs" {
			t.Error("the directory on the disk is in memory")
		}
		for what, command := range map[string]string{
			"another host": "timeout 3 bash -c '</dev/tcp/" + other.Address + "/22' && echo open || echo closed",
			"the network":  "timeout 3 bash -c '</dev/tcp/1.1.1.1/53' && echo open || echo closed",
			"names":        "timeout 3 getent hosts example.com >/dev/null && echo open || echo closed",
		} {
			if got := s.run(m, command+" 2>/dev/null"); !strings.HasSuffix(got, "closed") {
				t.Errorf("it reaches %s: %s", what, got)
			}
		}
		// Where this computer has no way out either, only the engine's own word tells.
		if n, err := s.engine.NetworkInspect(s.ctx, s.isolatedNetwork(), network.InspectOptions{}); err != nil ||
			!n.Internal {
			t.Errorf("its network is not an internal one: %v", err)
		}
		listed, err := s.ListMachines(s.ctx, s.owner)
		if err != nil || len(listed) != 1 {
			t.Errorf("the cluster's machines are %v, %v", listed, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := s.isolatedLeft(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestIsolatedHostIsRemovedIfItsUseFails(t *testing.T) {
	s := newSite(t, docker.Options{})
	failed := errors.New("no")
	ctx, cancel := context.WithCancel(s.ctx)
	err := s.RunIsolated(ctx, s.isolatedRequest(), func(string) {}, func(context.Context, cloud.Machine) error {
		s.RemoveLeftIsolated(s.ctx) // it is in use
		if left := s.isolatedLeft(); len(left) != 3 {
			t.Errorf("there are %q", left)
		}
		cancel()
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if left := s.isolatedLeft(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestIsolationNeedsAnEngineWithRoom(t *testing.T) {
	c, err := docker.New(docker.Options{Host: "unix:///nonexistent/docker.sock", ImageCacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	use := func(context.Context, cloud.Machine) error { t.Error("it runs"); return nil }
	err = c.RunIsolated(ctx, cloud.IsolatedRequest{Name: "x", MemoryGiB: 1}, func(string) {}, use)
	var refused *cloud.IsolationError
	if !errors.As(err, &refused) || !refused.Final() || refused.Reason() != "NoDocker" ||
		!strings.Contains(err.Error(), "no Docker engine answers") {
		t.Errorf("without an engine: %v", err)
	}
}
