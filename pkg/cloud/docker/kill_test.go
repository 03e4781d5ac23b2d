package docker_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/test/dockersim"
)

const simBase = "base:1"

// installation is one with an engine of its own, and processes that use it one after the other.
type installation struct {
	t      *testing.T
	engine *dockersim.Engine
	dir    string
	id     string
	image  string // of the hosts, where there is one already
	keys   map[string][]byte
}

func newInstallation(t *testing.T, image string) *installation {
	t.Helper()
	images := []string{simBase}
	if image != "" {
		images = append(images, image)
	}
	i := &installation{t: t, engine: dockersim.New(images...), dir: t.TempDir(), id: "inst-" + rand.Text()[:6], image: image, keys: map[string][]byte{}}
	t.Cleanup(i.engine.Close)
	return i
}

// process is a cloud in a process of its own, whose calls go through a handler.
func (i *installation) process(h http.Handler) *docker.Cloud {
	i.t.Helper()
	host, stop, err := dockersim.Listen(i.t.TempDir(), h)
	if err != nil {
		i.t.Fatal(err)
	}
	c, err := docker.New(docker.Options{
		Host: host, Image: i.image, BaseImage: simBase, ImageCacheDir: i.dir,
		Installation: func(context.Context) (string, error) { return i.id, nil },
	})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { c.Close(); stop() })
	return c
}

func (i *installation) owner(cluster string) cloud.Owner {
	return cloud.Owner{Installation: i.id, Cluster: cluster, ClusterUID: "uid-" + cluster}
}

func (i *installation) request(cluster string, n int) cloud.LaunchRequest {
	i.t.Helper()
	name := api.MachineName(cluster, n)
	if i.keys[name] == nil {
		i.keys[name] = newPrivateKey(i.t)
	}
	signer, err := ssh.ParsePrivateKey(i.keys[name])
	if err != nil {
		i.t.Fatal(err)
	}
	return cloud.LaunchRequest{
		Owner: i.owner(cluster), Name: name, Index: n, Incarnation: incarnationOf(n), Placement: api.Placement{CPUs: 1, MemoryGiB: 1},
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey())), HostKey: i.keys[name],
	}
}

func launchWith(ctx context.Context, c *docker.Cloud, req cloud.LaunchRequest) (cloud.Machine, error) {
	ref, err := c.Submit(ctx, req)
	if err != nil {
		return cloud.Machine{}, err
	}
	return c.Await(ctx, req, ref, func(string) {})
}

func targetOf(owner cloud.Owner, n int) cloud.Target {
	return cloud.Target{Owner: owner, Name: api.MachineName(owner.Cluster, n), Index: n, Incarnation: incarnationOf(n)}
}

func endWith(ctx context.Context, c *docker.Cloud, owner cloud.Owner, machines int) error {
	for n := range machines {
		if err := c.Terminate(ctx, targetOf(owner, n)); err != nil {
			return err
		}
	}
	return c.Release(ctx, owner)
}

// killed is something that a process does when it is killed.
type killed struct {
	name  string
	image string
	// before is what other processes have done, at leisure.
	before func(ctx context.Context, i *installation, c *docker.Cloud) error
	do     func(ctx context.Context, i *installation, c *docker.Cloud) error
}

func killedAt() []killed {
	launch := func(ctx context.Context, i *installation, c *docker.Cloud) error {
		_, err := launchWith(ctx, c, i.request("pc", 0))
		return err
	}
	stopped := func(ctx context.Context, i *installation, c *docker.Cloud) error {
		if err := launch(ctx, i, c); err != nil {
			return err
		}
		i.engine.Stop(api.MachineName("pc", 0))
		return nil
	}
	return []killed{
		{name: "a launch", image: "host:1", do: launch},
		{name: "a launch that builds the host image", do: launch},
		{
			name: "a start", image: "host:1", before: stopped,
			do: func(ctx context.Context, i *installation, c *docker.Cloud) error {
				_, err := c.Start(ctx, targetOf(i.owner("pc"), 0), "")
				return err
			},
		},
		{
			name: "a start at another address", image: "host:1", before: stopped,
			do: func(ctx context.Context, i *installation, c *docker.Cloud) error {
				found, err := c.List(ctx, i.owner("pc"))
				if err != nil || len(found) == 0 {
					return fmt.Errorf("list: %d machines, %w", len(found), err)
				}
				_, err = c.Start(ctx, cloud.TargetOf(found[0]), i.engine.Subnet()+"9.9")
				return err
			},
		},
		{name: "a terminate", image: "host:1", before: launch, do: func(ctx context.Context, i *installation, c *docker.Cloud) error {
			return endWith(ctx, c, i.owner("pc"), 1)
		}},
		{name: "a removal of the host image", do: func(ctx context.Context, _ *installation, c *docker.Cloud) error {
			return c.RemoveImage(ctx)
		}},
	}
}

// TestAKillAtAnyCallLeavesAWorkingInstallation kills a process before and after each call that it makes to the engine. Whoever
// comes next creates and deletes, in either way that an operation goes on, and nothing is left.
func TestAKillAtAnyCallLeavesAWorkingInstallation(t *testing.T) {
	for _, k := range killedAt() {
		t.Run(strings.ReplaceAll(k.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			calls := k.kill(t, 0, false, true)
			if len(calls) == 0 {
				t.Fatal("it makes no call")
			}
			for n, call := range calls {
				for _, after := range []bool{false, true} {
					for _, again := range []bool{false, true} {
						k.kill(t, n+1, after, again)
						if t.Failed() {
							t.Fatalf("killed at call %d (%s), after the engine had done it: %v, tried again: %v", n+1, call, after, again)
						}
					}
				}
			}
		})
	}
}

// kill has a process die at a call, and another one go on. It returns the calls that the first one made.
func (k killed) kill(t *testing.T, at int, after, again bool) []string {
	t.Helper()
	i := newInstallation(t, k.image)
	if k.before != nil {
		if err := k.before(t.Context(), i, i.process(i.engine)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cutter := &dockersim.Cutter{Engine: i.engine, At: at, After: after, Kill: kill}
	err := k.do(ctx, i, i.process(cutter))
	if at == 0 && err != nil {
		t.Fatal(err)
	}
	next := i.process(i.engine)
	if again { // as an operation that goes on does
		if err := k.do(t.Context(), i, next); err != nil {
			t.Errorf("it can't be done again: %v", err)
		}
	}
	for _, cluster := range []string{"pc", "other"} {
		m, err := launchWith(t.Context(), next, i.request(cluster, 0))
		if err != nil {
			t.Errorf("cluster %s can't be created: %v", cluster, err)
		} else if m.Address == "" || m.State != cloud.StateRunning {
			t.Errorf("cluster %s has %+v", cluster, m)
		}
	}
	for _, cluster := range []string{"pc", "other"} {
		if err := endWith(t.Context(), next, i.owner(cluster), 1); err != nil {
			t.Errorf("cluster %s can't be deleted: %v", cluster, err)
		}
	}
	i.wantNothingLeft(next)
	return cutter.Calls()
}

// wantNothingLeft fails the test where the engine has anything, or the check says so.
func (i *installation) wantNothingLeft(c *docker.Cloud) {
	i.t.Helper()
	if left := i.engine.Left(); len(left) > 0 {
		i.t.Errorf("left: %s", strings.Join(left, "; "))
	}
	f, _ := c.Inspect(i.t.Context())
	if f.Problem != "" || strings.Contains(strings.Join(f.Details, " "), "left over") {
		i.t.Errorf("the check says %+v", f)
	}
}

func TestABuildRemovesTheFilesOfOneThatWasKilled(t *testing.T) {
	i := newInstallation(t, "")
	c := i.process(i.engine)
	for _, name := range []string{".host-1.partial", ".rootfs-1/etc/passwd"} {
		path := filepath.Join(i.dir, name)
		i.check(os.MkdirAll(filepath.Dir(path), 0o700))
		i.check(os.WriteFile(path, nil, 0o600))
	}
	if f, _ := c.Inspect(t.Context()); strings.Count(strings.Join(f.Details, " "), "interrupted build") != 2 {
		t.Errorf("the check says %+v", f)
	}
	i.check(c.EnsureImage(t.Context(), func(string) {}))
	i.wantNothingLeft(c)
	if left, err := filepath.Glob(filepath.Join(i.dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func incarnationOf(n int) string { return fmt.Sprintf("inc%d", n) }
