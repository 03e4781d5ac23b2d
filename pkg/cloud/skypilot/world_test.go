package skypilot_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/needs"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// world is the environment that the tests of this package share: two clouds, and a local server that the package under
// test starts itself.
type world struct {
	env *skytest.Env
	dir string
	// one asks the shared server for all tests that need no Cloud of their own: each has a Python process.
	one      *skypilot.Cloud
	shared   *awsMachine // see machine
	launched int
}

var shared = sync.OnceValues(func() (*world, error) {
	dir, err := os.MkdirTemp("", "skyctl-skypilot-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir}
	w.env, err = skytest.StartEnv(context.Background(),
		skytest.Options{Dir: filepath.Join(dir, "world"), WithoutServer: true})
	if err != nil {
		return nil, err
	}
	return w, skytest.InstallCatalogs(filepath.Join(dir, "skypilot", "state"))
})

func TestMain(m *testing.M) {
	code := m.Run()
	if !used {
		os.Exit(code)
	}
	if w, err := shared(); err == nil {
		if w.one != nil {
			err = w.one.Close()
		}
		if err := errors.Join(err, w.env.Stop()); err != nil {
			println(err.Error())
			code = 1
		}
		os.RemoveAll(w.dir)
	}
	os.Exit(code)
}

var (
	used bool
	port int
)

func start(t *testing.T) *world {
	t.Helper()
	needs.SkyPilot(t)
	used = true
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// powerOffDelay applies to machines that cost something.
const powerOffDelay = 3 * time.Hour

// cloud is the Cloud on the shared local server that tests share.
func (w *world) cloud(t *testing.T) *skypilot.Cloud {
	t.Helper()
	if w.one == nil {
		w.one = w.connect(t)
	}
	return w.one
}

// newCloud is a Cloud that knows nothing of what other tests did, as a new process of skyctl has.
func (w *world) newCloud(t *testing.T, change ...func(*skypilot.Options)) *skypilot.Cloud {
	t.Helper()
	c := w.connect(t, change...)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (w *world) connect(t *testing.T, change ...func(*skypilot.Options)) *skypilot.Cloud {
	t.Helper()
	if port == 0 {
		var err error
		if port, err = skytest.FindServerPort(); err != nil {
			t.Fatal(err)
		}
	}
	o := skypilot.Options{
		Dir: filepath.Join(w.dir, "skypilot"), Python: w.env.PythonInterpreter(), Port: port,
		Plugins: []string{skytest.SecondCloud}, PowerOffDelay: powerOffDelay,
	}
	for _, kv := range w.env.EnvVars() {
		if !strings.HasPrefix(kv, "SKY_RUNTIME_DIR=") && !strings.HasPrefix(kv, "SKYPILOT_") {
			o.Env = append(o.Env, kv)
		}
	}
	o.Env = append(o.Env, "SKYPILOT_SKIP_CLOUD_IDENTITY_CHECK=1")
	for _, c := range change {
		c(&o)
	}
	c, err := skypilot.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// key is a key pair: the private key that logs in, and the authorized public key.
type key struct {
	signer     ssh.Signer
	authorized string
}

func newKey(t *testing.T) key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(pem.EncodeToMemory(block))
	if err != nil {
		t.Fatal(err)
	}
	return key{signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}
}

func owner(cluster string) cloud.Owner {
	return cloud.Owner{Installation: "inst-" + cluster, Cluster: cluster, ClusterUID: "uid-" + cluster}
}

func launchOf(cluster string, index int, p api.Placement, k key) cloud.LaunchRequest {
	return cloud.LaunchRequest{
		Owner: owner(cluster), Name: api.MachineName(cluster, index), Index: index, Role: fixture.RoleAt(index),
		Incarnation:   "bcdfg",
		Placement:     p,
		Spec:          api.GroupSpec{Provision: true, NumNodes: 1, Ports: []string{"30000-30100"}},
		AuthorizedKey: k.authorized,
	}
}

// logIn runs a command on a machine with the cluster's key, and takes no other host key than the one that was reported.
func logIn(t *testing.T, m cloud.Machine, k key, command string) string {
	t.Helper()
	out, err := tryLogIn(m, k, command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryLogIn(m cloud.Machine, k key, command string) (string, error) {
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.HostKey))
	if err != nil {
		return "", fmt.Errorf("host key %q: %w", m.HostKey, err)
	}
	client, err := ssh.Dial("tcp", net.JoinHostPort(m.Address, "22"), &ssh.ClientConfig{
		User: m.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(k.signer)}, HostKeyCallback: ssh.FixedHostKey(host),
		HostKeyAlgorithms: []string{host.Type()}, Timeout: 10 * time.Second,
	})
	if err != nil {
		return "", fmt.Errorf("log in to %s as %s at %s: %w", m.Name, m.SSHUser, m.Address, err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", fmt.Errorf("open a session on %s: %w", m.Name, err)
	}
	out, err := session.CombinedOutput(command)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// submit launches a machine, and terminates it at the end of the test.
func submit(t *testing.T, c *skypilot.Cloud, req cloud.LaunchRequest) string {
	t.Helper()
	t.Cleanup(func() { gone(t, c, req) })
	ref, err := c.SubmitLaunch(eventually.Context(t, 2*time.Minute), req)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func await(t *testing.T, c *skypilot.Cloud, req cloud.LaunchRequest, ref string) cloud.Machine {
	t.Helper()
	m, err := c.AwaitLaunch(eventually.Context(t, 8*time.Minute), req, ref, said(t, req))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func said(t *testing.T, req cloud.LaunchRequest) func(string) {
	begin := time.Now()
	return func(s string) { t.Logf("%s after %.1f s: %s", req.Name, time.Since(begin).Seconds(), s) }
}

// gone takes a machine down.
func gone(t *testing.T, c *skypilot.Cloud, req cloud.LaunchRequest) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	if err := c.TerminateMachine(ctx, req.ToTarget()); err != nil {
		t.Error(err)
	}
}

// living are the instances of a cluster that AWS has and that are not terminated.
func (w *world) living(t *testing.T, cluster string) []skytest.Instance {
	t.Helper()
	all, err := w.env.AWS.ListInstances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(i skytest.Instance) bool {
		return i.Tags[cloud.LabelCluster] != cluster || i.State == "terminated" || i.State == "shutting-down"
	})
}

// group is the security group of a cluster, or nil.
func (w *world) group(t *testing.T, cluster string) *skytest.SecurityGroup {
	t.Helper()
	all, err := w.env.AWS.ListSecurityGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Name == "skyctl-uid-"+cluster {
			return &all[i]
		}
	}
	return nil
}

func (w *world) fault(t *testing.T, f skytest.Fault) *skytest.ActiveFault {
	t.Helper()
	a, err := w.env.SetFault(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Clear() }) // a test may have cleared it itself
	return a
}

// canQueryAWS is a place of AWS for a small machine.
func onAWS(region string) api.Placement {
	return api.Placement{Cloud: "aws", Region: region, InstanceType: "c6i.large", CPUs: 2, MemoryGiB: 4}
}

// inPaperspace is the cheapest place of all.
func inPaperspace(t *testing.T, c *skypilot.Cloud) api.Placement {
	t.Helper()
	plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{NumNodes: 1}, api.Neighbors{})
	if err != nil {
		t.Fatal(err)
	}
	if plan[0].Cloud != "paperspace" {
		t.Fatalf("the cheapest place is %+v, want one of paperspace", plan[0])
	}
	return plan[0]
}
