// Package skypilot provides machines of any cloud that SkyPilot supports: one SkyPilot cluster per machine, with the
// machine's name, all in the placement that SkyPilot's optimizer ranks first.
//
// It calls a SkyPilot API server over HTTP: a local one that it starts from a virtual environment of its own, with its
// own state and port, or a remote one. A small Python program answers over pipes what the server returns only as Python
// pickles (addresses, zone, price) or has no call for (the ranking as data, the cluster's security group).
//
// SkyPilot's own key logs in to a machine once, to authorize the cluster's key. From then on only that key is used.
package skypilot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/aws"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/launches"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/localserver"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
	"github.com/sky-shift/skyctl/pkg/keyedlock"
)

// Version is the SkyPilot that the setup installs.
const Version = client.Version

// DefaultPort is the local server's. It is next to SkyPilot's own 46580, which the user's own server may use.
const DefaultPort = 46581

// The environment variables from which SkyPilot's own programs read the address of a remote server and its token.
const (
	EnvEndpoint = client.EnvEndpoint
	EnvToken    = client.EnvToken
)

// CloudNames are the clouds that a spec may name: those of SkyPilot that provide virtual machines. What else SkyPilot
// calls a cloud (kubernetes, ssh, slurm, runpod, vast, yotta) provides containers, or hosts of other owners.
var CloudNames = []string{
	"aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "lambda", "mithril", "nebius", "oci",
	"paperspace", "primeintellect", "scp", "seeweb", "shadeform", "verda", "vsphere",
}

// Options of the cloud.
type Options struct {
	// Dir contains everything of the local server, and the virtual environment. It is created when missing.
	Dir string
	// Python is the interpreter that has SkyPilot; by default Dir/venv/bin/python, which the setup creates.
	Python string
	// Endpoint of a remote API server (http or https); empty means the local one, which is started if it does not run.
	Endpoint string
	// Token of a service account of the remote server ("sky_…").
	Token string
	// Port of the local server; by default DefaultPort.
	Port int
	// FullRuntime leaves SkyPilot's own runtime (conda, Ray, skylet) on the machines. It applies to the local server
	// only.
	FullRuntime bool
	// Usage lets the local server send SkyPilot's usage data to its makers.
	Usage bool
	// LaunchesAtOnce bounds the launches that the server runs at one time; by default 4 on a local server, 16 on a
	// remote one.
	LaunchesAtOnce int
	// CloudWithin bounds how long each cloud may take to report the state of its machines; by default 35 s. A cloud
	// that is slower does not delay the others. AWS may take as long again to list machines by their labels.
	CloudWithin time.Duration
	// AddressesEvery is how often the clouds are asked for the addresses of machines that can be stopped; by default 2
	// minutes. SkyPilot does not notice that a machine was started elsewhere at another address.
	AddressesEvery time.Duration
	// AWSInstanceProfile is an instance profile without rights. If it is empty, machines have no profile, which
	// requires the lean plugin on the server.
	AWSInstanceProfile string
	// PowerOffDelay is how long after its launch a billed machine powers itself off, unless cloud.BootPowerOffUnit is
	// stopped on it; 0 is never. On AWS, with the lean plugin, the first boot of the machine starts that timer,
	// elsewhere the first login does.
	PowerOffDelay time.Duration
	// Plugins are further plugins of the local server, as package.module.Class.
	Plugins []string
	// Env are further variables (KEY=value) of the local server and the bridge; they override the process's own.
	Env []string
	// Log receives what no caller waits for; nil discards it.
	Log *slog.Logger
}

// Cloud is a SkyPilot API server. It implements cloud.Cloud.
type Cloud struct {
	opts     Options
	log      *slog.Logger
	client   *client.Client
	env      venv.Environment
	server   *localserver.Server // nil if the server is remote
	bridge   *bridge.Bridge
	aws      *aws.Account
	queue    launches.Queue
	names    keyedlock.Locks // by machine name, and one for access to each cloud
	disabled disabledClouds
	asked    askedAddresses

	relaunchAfter time.Duration
	retriesEvery  time.Duration
}

var (
	_ cloud.Cloud  = (*Cloud)(nil)
	_ cloud.Broker = (*Cloud)(nil)
)

// New returns the cloud. It starts and asks nothing until the cloud is used.
func New(o Options) (*Cloud, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("set up SkyPilot: the directory for its state is missing")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("set up SkyPilot: %w", err)
	}
	o.Dir = dir
	o.CloudWithin = cmp.Or(o.CloudWithin, 35*time.Second)
	o.AddressesEvery = cmp.Or(o.AddressesEvery, 2*time.Minute)
	o.Endpoint = strings.TrimRight(cmp.Or(o.Endpoint, os.Getenv(EnvEndpoint)), "/")
	if o.Endpoint != "" {
		o.Token = cmp.Or(o.Token, os.Getenv(EnvToken))
	}
	if o.LaunchesAtOnce <= 0 {
		o.LaunchesAtOnce = 4
		if o.Endpoint != "" {
			o.LaunchesAtOnce = 16
		}
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	env := venv.Environment{
		Dir: dir, Python: cmp.Or(o.Python, filepath.Join(dir, "venv", "bin", "python")),
		Port: cmp.Or(o.Port, DefaultPort), Endpoint: o.Endpoint, Usage: o.Usage, Env: o.Env,
	}
	c := &Cloud{opts: o, log: o.Log, env: env, bridge: bridge.New(env), relaunchAfter: launches.RelaunchDelay,
		retriesEvery: retriesPollInterval}
	c.aws = aws.NewAccount(c.bridge, o.CloudWithin, o.Log)
	if o.Endpoint != "" {
		c.client = client.New(o.Endpoint, o.Token)
		return c, nil
	}
	c.client = client.New(fmt.Sprintf("http://127.0.0.1:%d", env.Port), o.Token)
	c.server = localserver.New(env, localserver.Options{Plugins: o.Plugins, FullRuntime: o.FullRuntime, Log: o.Log})
	c.client.Revive = func(ctx context.Context) error { return c.server.EnsureRunning(ctx, c.client) }
	return c, nil
}

// Close stops the bridge. A local server continues to run, so that a running launch survives the end of this process.
func (c *Cloud) Close() error { return c.bridge.Close() }

// Endpoint is the server's address, to show to a person.
func (c *Cloud) Endpoint() string { return c.client.Endpoint }

// ensureServerReady starts the local server if it does not run, and checks that skyctl supports the server's version.
func (c *Cloud) ensureServerReady(ctx context.Context) error { return c.client.EnsureVersion(ctx) }

// StopServer stops the local server. It does nothing if none runs or the server is remote.
func (c *Cloud) StopServer(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	return c.server.Stop(ctx)
}

// installationIdentity is the installation's user on the server: names on the clouds contain its id, and SkyPilot keeps
// a key pair for it.
func installationIdentity(installation string) client.Identity {
	sum := sha256.Sum256([]byte("skyctl/" + installation))
	return client.Identity{ID: hex.EncodeToString(sum[:4]), Name: "skyctl"}
}

// isOwnedBy reports whether labels are those of an owner's machine. An empty cluster UID means any cluster of the
// installation.
func isOwnedBy(labels map[string]string, owner cloud.Owner) bool {
	return owner.Installation != "" && labels[cloud.LabelInstallation] == owner.Installation &&
		(owner.ClusterUID == "" || labels[cloud.LabelClusterUID] == owner.ClusterUID)
}

// isKnownCloud reports whether a spec may name a cloud.
func isKnownCloud(name string) bool { return slices.Contains(CloudNames, name) }

// newFieldError is the error for invalid input.
func newFieldError(name, value, want string) error {
	return &api.FieldError{Field: name, Value: value, Want: want, Unset: value == ""}
}

// powerOffDelay is how long after its launch a machine powers itself off. A free machine never does, because operations
// stop the timers of billed machines only.
func (o Options) powerOffDelay(req cloud.LaunchRequest) time.Duration {
	if req.Placement.PricePerMachine <= 0 {
		return 0
	}
	return o.PowerOffDelay
}
