package dockersim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

// base is the image from which the host image is built.
const base = "base:1"

// Backend is an engine of any make, with what a test does behind the cloud's back.
type Backend interface {
	http.Handler
	// Stop stops a container, as docker stop does.
	Stop(name string)
	// Left names what is there that should be gone with the last cluster of an installation.
	Left(installation string) []string
}

// Installation is one that uses an engine from processes that come one after the other.
type Installation struct {
	T       testing.TB
	Backend Backend
	// Dir is where its processes keep the host image and their locks.
	Dir string
	// ID is its id.
	ID string
	// Image is that of the hosts, where there is one already.
	Image string

	keys map[string][]byte
}

// NewInstallation makes an installation on a simulated engine; the image of the hosts is there already where it is named.
func NewInstallation(t testing.TB, image string) (*Installation, *Engine) {
	t.Helper()
	images := []string{base}
	if image != "" {
		images = append(images, image)
	}
	e := New(images...)
	t.Cleanup(e.Close)
	return On(t, e, image), e
}

// On makes an installation on an engine.
func On(t testing.TB, b Backend, image string) *Installation {
	return &Installation{T: t, Backend: b, Dir: t.TempDir(), ID: "test-" + strings.ToLower(rand.Text()[:6]), Image: image, keys: map[string][]byte{}}
}

// Check fails the test where there is an error.
func (i *Installation) Check(err error) {
	i.T.Helper()
	if err != nil {
		i.T.Fatal(err)
	}
}

// Process is the cloud in a process of its own, whose calls go to a handler.
func (i *Installation) Process(h http.Handler) *docker.Cloud {
	i.T.Helper()
	host, stop, err := Listen(i.T.TempDir(), h)
	i.Check(err)
	c, err := docker.New(docker.Options{
		Host: host, Image: i.Image, BaseImage: base, ImageCacheDir: i.Dir,
		Installation: func(context.Context) (string, error) { return i.ID, nil },
	})
	i.Check(err)
	i.T.Cleanup(func() { _ = c.Close(); stop() })
	return c
}

// Owner is a cluster of the installation.
func (i *Installation) Owner(cluster string) cloud.Owner {
	return cloud.Owner{Installation: i.ID, Cluster: cluster + "-" + i.ID, ClusterUID: "uid-" + cluster}
}

// Name is that of a machine of a cluster.
func (i *Installation) Name(cluster string, n int) string {
	return api.MachineName(i.Owner(cluster).Cluster, n)
}

// Target is a machine of a cluster.
func (i *Installation) Target(cluster string, n int) cloud.Target {
	return cloud.Target{Owner: i.Owner(cluster), Name: i.Name(cluster, n), Index: n, Incarnation: fmt.Sprintf("inc%d", n)}
}

// Request asks for a machine of a cluster; asked again it is the same.
func (i *Installation) Request(cluster string, n int) cloud.LaunchRequest {
	i.T.Helper()
	target := i.Target(cluster, n)
	if i.keys[target.Name] == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		i.Check(err)
		block, err := ssh.MarshalPrivateKey(key, "")
		i.Check(err)
		i.keys[target.Name] = pem.EncodeToMemory(block)
	}
	signer, err := ssh.ParsePrivateKey(i.keys[target.Name])
	i.Check(err)
	return cloud.LaunchRequest{
		Owner: target.Owner, Name: target.Name, Index: n, Incarnation: target.Incarnation, Placement: api.Placement{CPUs: 1, MemoryGiB: 1},
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey())), HostKey: i.keys[target.Name],
	}
}

// Launch launches a machine, and waits until it is up.
func (i *Installation) Launch(ctx context.Context, c *docker.Cloud, cluster string, n int) (cloud.Machine, error) {
	req := i.Request(cluster, n)
	ref, err := c.Submit(ctx, req)
	if err != nil {
		return cloud.Machine{}, err
	}
	return c.Await(ctx, req, ref, func(string) {})
}

// End ends the first machines of a cluster, and what it had as a whole.
func (i *Installation) End(ctx context.Context, c *docker.Cloud, cluster string, machines int) error {
	for n := range machines {
		if err := c.Terminate(ctx, i.Target(cluster, n)); err != nil {
			return err
		}
	}
	return c.Release(ctx, i.Owner(cluster))
}

// WantNothingLeft fails the test where the engine has anything of the installation, or the check says so.
func (i *Installation) WantNothingLeft(c *docker.Cloud) {
	i.T.Helper()
	if left := i.Backend.Left(i.ID); len(left) > 0 {
		i.T.Errorf("left: %s", strings.Join(left, "; "))
	}
	f, _ := c.Inspect(i.T.Context())
	if f.Problem != "" || strings.Contains(strings.Join(f.Details, " "), "left over") {
		i.T.Errorf("the check says %+v", f)
	}
}
