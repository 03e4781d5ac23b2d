// Package skypilot gives machines of any cloud that SkyPilot knows: one SkyPilot cluster per machine, named as the
// machine, all in the place that SkyPilot's optimizer ranks first.
//
// It talks to a SkyPilot API server over HTTP: a local one that it starts from a virtual environment of its own, with
// its own state and port, or a remote one. What the server says only in Python's pickles (addresses, zone, price) and
// what it has no call for (the ranking as data, the cluster's security group) a small Python program answers over
// pipes.
//
// SkyPilot's own key logs in to a machine once, to let the cluster's key in; from then on only that one is used.
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

// DefaultPort of the local server, next to SkyPilot's own 46580, which a person's server may use.
const DefaultPort = 46581

// The environment variables by which SkyPilot's own programs find a remote server and its token.
const (
	EnvEndpoint = client.EnvEndpoint
	EnvToken    = client.EnvToken
)

// CloudNames are the clouds that a spec may name: those of SkyPilot that give virtual machines. The rest of what
// SkyPilot calls clouds (kubernetes, ssh, slurm, runpod, vast, yotta) gives containers, or hosts that are somebody
// else's.
var CloudNames = []string{
	"aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "lambda", "mithril", "nebius", "oci",
	"paperspace", "primeintellect", "scp", "seeweb", "shadeform", "verda", "vsphere",
}

// Options of the cloud.
type Options struct {
	// Dir keeps everything of the local server and the virtual environment; it is made when missing.
	Dir string
	// Python is the interpreter that has SkyPilot; by default Dir/venv/bin/python, which the setup makes.
	Python string
	// Endpoint of a remote API server (http or https); empty means the local one, which is started when it is absent.
	Endpoint string
	// Token of a service account of the remote server ("sky_…").
	Token string
	// Port of the local server; by default DefaultPort.
	Port int
	// FullRuntime leaves SkyPilot's own runtime (conda, Ray, skylet) on the machines; only the local server heeds it.
	FullRuntime bool
	// Usage lets the local server send SkyPilot's usage data to its makers.
	Usage bool
	// LaunchesAtOnce bounds the launches that the server works on at one time; by default 4 on a local server, 16 on a
	// remote one.
	LaunchesAtOnce int
	// CloudWithin bounds how long each cloud may take to say how its machines are, by default 35 s. One that does not
	// answer by then holds up no other. AWS may take as long again to list machines by their labels.
	CloudWithin time.Duration
	// AWSInstanceProfile is an instance profile without rights. Where it is empty, machines have no profile, which
	// needs the lean plugin on the server.
	AWSInstanceProfile string
	// DeadMan is how long after its launch a machine that costs something powers itself off, unless BootPowerOffUnit is
	// stopped on it; 0 is never. On AWS, with the lean plugin, the machine's first boot sets it, elsewhere the first
	// login.
	DeadMan time.Duration
	// Plugins are further plugins of the local server, as package.module.Class.
	Plugins []string
	// Env are further variables (KEY=value) of the local server and the bridge; they win over the process's own.
	Env []string
	// Log takes what is worth knowing but nobody waits for; nil discards it.
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

// installationIdentity is who this installation is to the server: names on the clouds carry it, and SkyPilot keeps a
// key pair for it.
func installationIdentity(installation string) client.Identity {
	sum := sha256.Sum256([]byte("skyctl/" + installation))
	return client.Identity{ID: hex.EncodeToString(sum[:4]), Name: "skyctl"}
}

// isOwnedBy says whether labels are those of an owner's machine; an empty cluster means any of the installation.
func isOwnedBy(labels map[string]string, owner cloud.Owner) bool {
	return owner.Installation != "" && labels[cloud.LabelInstallation] == owner.Installation &&
		(owner.ClusterUID == "" || labels[cloud.LabelClusterUID] == owner.ClusterUID)
}

// isKnownCloud says whether a cloud's name is one that a spec may use.
func isKnownCloud(name string) bool { return slices.Contains(CloudNames, name) }

// newFieldError is bad input.
func newFieldError(name, value, want string) error {
	return &api.FieldError{Field: name, Value: value, Want: want}
}

// powerOffDelay is how long after its launch a machine powers itself off: never where it is free, for operations stop
// the timers of machines that bill and of no others.
func (o Options) powerOffDelay(req cloud.LaunchRequest) time.Duration {
	if req.Placement.PricePerMachine <= 0 {
		return 0
	}
	return o.DeadMan
}
