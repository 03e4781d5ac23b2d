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

// baseImage is the image from which the host image is built.
const baseImage = "base:1"

// Backend is a real or simulated engine, with operations that bypass the cloud.
type Backend interface {
	http.Handler
	// StopContainer stops a container, as docker stop does.
	StopContainer(name string)
	// ListLeftovers returns everything that must be gone once an installation has no cluster.
	ListLeftovers(installation string) []string
}

// Installation is an installation of skyctl whose processes use an engine one after the other.
type Installation struct {
	T       testing.TB
	Backend Backend
	// Dir is where its processes keep the host image and their locks.
	Dir string
	// ID is the installation's id.
	ID string
	// Image is the host image, if it exists already.
	Image string

	keys map[string][]byte
}

// NewInstallation creates an installation on a simulated engine; a named host image exists already.
func NewInstallation(t testing.TB, image string) (*Installation, *Engine) {
	t.Helper()
	images := []string{baseImage}
	if image != "" {
		images = append(images, image)
	}
	e := NewEngine(images...)
	t.Cleanup(e.Close)
	return NewInstallationOn(t, e, image), e
}

// NewInstallationOn creates an installation on an engine.
func NewInstallationOn(t testing.TB, b Backend, image string) *Installation {
	return &Installation{T: t, Backend: b, Dir: t.TempDir(), ID: "test-" + strings.ToLower(rand.Text()[:6]),
		Image: image, keys: map[string][]byte{}}
}

// RequireNoError fails the test if there is an error.
func (i *Installation) RequireNoError(err error) {
	i.T.Helper()
	if err != nil {
		i.T.Fatal(err)
	}
}

// NewProcess returns a cloud as in a new process, whose calls go to a handler.
func (i *Installation) NewProcess(h http.Handler) *docker.Cloud {
	i.T.Helper()
	host, stop, err := ServeOnSocket(i.T.TempDir(), h)
	i.RequireNoError(err)
	c, err := docker.New(docker.Options{
		Host: host, Image: i.Image, BaseImage: baseImage, ImageCacheDir: i.Dir,
		Installation: func(context.Context) (string, error) { return i.ID, nil },
	})
	i.RequireNoError(err)
	i.T.Cleanup(func() { _ = c.Close(); stop() })
	return c
}

// ClusterOwner returns the owner of a cluster's machines.
func (i *Installation) ClusterOwner(cluster string) cloud.Owner {
	return cloud.Owner{Installation: i.ID, Cluster: cluster + "-" + i.ID, ClusterUID: "uid-" + cluster}
}

// MachineName returns the name of a cluster's machine.
func (i *Installation) MachineName(cluster string, n int) string {
	return api.MachineName(i.ClusterOwner(cluster).Cluster, n)
}

// MachineTarget returns the target for a cluster's machine.
func (i *Installation) MachineTarget(cluster string, n int) cloud.Target {
	return cloud.Target{Owner: i.ClusterOwner(cluster), Name: i.MachineName(cluster, n), Index: n,
		Incarnation: fmt.Sprintf("inc%d", n)}
}

// NewLaunchRequest returns the launch request for a cluster's machine, each time the same.
func (i *Installation) NewLaunchRequest(cluster string, n int) cloud.LaunchRequest {
	i.T.Helper()
	target := i.MachineTarget(cluster, n)
	if i.keys[target.Name] == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		i.RequireNoError(err)
		block, err := ssh.MarshalPrivateKey(key, "")
		i.RequireNoError(err)
		i.keys[target.Name] = pem.EncodeToMemory(block)
	}
	signer, err := ssh.ParsePrivateKey(i.keys[target.Name])
	i.RequireNoError(err)
	return cloud.LaunchRequest{
		Owner: target.Owner, Name: target.Name, Index: n, Incarnation: target.Incarnation,
		Placement:     api.Placement{CPUs: 1, MemoryGiB: 1},
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey())), HostKey: i.keys[target.Name],
	}
}

// LaunchMachine launches a machine, and waits until it is up.
func (i *Installation) LaunchMachine(ctx context.Context, c *docker.Cloud, cluster string, n int) (cloud.Machine,
	error) {
	req := i.NewLaunchRequest(cluster, n)
	ref, err := c.SubmitLaunch(ctx, req)
	if err != nil {
		return cloud.Machine{}, err
	}
	return c.AwaitLaunch(ctx, req, ref, func(string) {})
}

// TerminateCluster terminates the first machines of a cluster, and removes its shared resources.
func (i *Installation) TerminateCluster(ctx context.Context, c *docker.Cloud, cluster string, machines int) error {
	for n := range machines {
		if err := c.TerminateMachine(ctx, i.MachineTarget(cluster, n)); err != nil {
			return err
		}
	}
	return c.RemoveClusterResources(ctx, i.ClusterOwner(cluster))
}

// WantNothingLeft fails the test if the engine has anything of the installation, or the check reports it.
func (i *Installation) WantNothingLeft(c *docker.Cloud) {
	i.T.Helper()
	if left := i.Backend.ListLeftovers(i.ID); len(left) > 0 {
		i.T.Errorf("left: %s", strings.Join(left, "; "))
	}
	f, _ := c.InspectProvider(i.T.Context())
	if f.Problem != "" || strings.Contains(strings.Join(f.Details, " "), "left over") {
		i.T.Errorf("the check says %+v", f)
	}
}
