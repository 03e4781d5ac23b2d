package docker_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/test/needs"
)

// imageTime is enough to build an image first; a boot takes seconds.
const imageTime = 4 * time.Minute

// site is one installation on the real engine, with the login key of its hosts. The end of the test removes all that it
// created.
type site struct {
	*docker.Cloud
	t      *testing.T
	ctx    context.Context
	engine *client.Client
	owner  cloud.Owner
	user   ssh.Signer
}

func newSite(t *testing.T, opts docker.Options) *site {
	t.Helper()
	needs.Docker(t)
	if opts.Log == nil {
		opts.Log = slogTo(t)
	}
	c, err := docker.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	s := &site{Cloud: c, t: t, ctx: ctx, engine: engine, user: newSigner(t), owner: cloud.Owner{
		Installation: "test-" + randomHex(t, 6), Cluster: "c" + randomHex(t, 4), ClusterUID: randomHex(t, 8),
	}}
	t.Cleanup(func() {
		cancel()
		defer engine.Close()
		defer c.Close()
		s.clean()
	})
	return s
}

// clean terminates every machine of the installation and its network, by the cloud's own means.
func (s *site) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	left, err := s.ListMachines(ctx, cloud.Owner{Installation: s.owner.Installation})
	if err != nil {
		s.t.Errorf("clean up: %v", err)
	}
	for _, m := range left {
		if err := s.TerminateMachine(ctx, cloud.TargetOf(m)); err != nil {
			s.t.Errorf("clean up: %v", err)
		}
	}
	if err := s.RemoveClusterResources(ctx, s.owner); err != nil {
		s.t.Errorf("clean up: %v", err)
	}
}

// request asks for place n of the site's cluster.
func (s *site) request(n int) cloud.LaunchRequest {
	return cloud.LaunchRequest{
		Owner: s.owner, Name: api.MachineName(s.owner.Cluster, n), Index: n, Incarnation: randomHex(s.t, 4),
		Placement:     api.Placement{Cloud: docker.Name, Region: docker.Region, CPUs: 1, MemoryGiB: 1},
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(s.user.PublicKey())),
		HostKey:       newPrivateKey(s.t),
	}
}

func (s *site) submit(req cloud.LaunchRequest) string {
	s.t.Helper()
	ref, err := s.SubmitLaunch(s.ctx, req)
	if err != nil {
		s.t.Fatalf("submit %s: %v", req.Name, err)
	}
	return ref
}

func (s *site) await(req cloud.LaunchRequest, ref string) cloud.Machine {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, imageTime)
	defer cancel()
	m, err := s.AwaitLaunch(ctx, req, ref, func(words string) { s.t.Logf("%s: %s", req.Name, words) })
	if err != nil {
		s.t.Fatalf("await %s: %v", req.Name, err)
	}
	return m
}

func (s *site) launch(req cloud.LaunchRequest) cloud.Machine {
	s.t.Helper()
	return s.await(req, s.submit(req))
}

// login opens an SSH connection that trusts the machine's pinned host key alone.
func (s *site) login(m cloud.Machine, user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	s.t.Helper()
	pinned, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.HostKey))
	if err != nil {
		s.t.Fatalf("host key of %s: %v", m.Name, err)
	}
	return ssh.Dial("tcp", m.Address+":22", &ssh.ClientConfig{
		User: user, Auth: auth, HostKeyCallback: ssh.FixedHostKey(pinned),
		HostKeyAlgorithms: []string{pinned.Type()}, Timeout: 10 * time.Second,
	})
}

// run runs a command on the machine as its user and returns the output.
func (s *site) run(m cloud.Machine, command string) string {
	s.t.Helper()
	conn, err := s.login(m, m.SSHUser, ssh.PublicKeys(s.user))
	if err != nil {
		s.t.Fatalf("log in to %s: %v", m.Name, err)
	}
	defer conn.Close()
	session, err := conn.NewSession()
	if err != nil {
		s.t.Fatalf("log in to %s: %v", m.Name, err)
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	if err != nil {
		s.t.Fatalf("%s: %s: %v\n%s", m.Name, command, err, out)
	}
	return strings.TrimSpace(string(out))
}

func newPrivateKey(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	signer, err := ssh.ParsePrivateKey(newPrivateKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func randomHex(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// scratchDir is a directory that debootstrap can work in.
func scratchDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "skyctl-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "images")
}
