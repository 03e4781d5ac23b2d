// Package docker gives machines that are systemd containers of a Docker Engine: hosts that boot in seconds, for
// clusters on one's own machine and for the tests of everything above.
//
// Such a host has OpenSSH, a user with sudo, limits on cores and memory, and an address of its own on a bridge network
// that skyctl makes. Every port of it can be reached from the machine at that address, so asked-for ports need no
// opening; nothing is published on the machine's own addresses.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	// Name is this cloud's name in a spec and in placements.
	Name = "docker"
	// Region is the only one there is: the machine that the engine runs on.
	Region = "local"

	sshUser = "sky"
	sshPort = 22

	defaultBaseImage = "debian:12"
)

// Options of the cloud. The engine is the one that DOCKER_HOST and its kin name, else the local one.
type Options struct {
	// Host is the engine's address; empty means that of the environment (DOCKER_HOST) or the usual socket.
	Host string
	// Image is used for hosts as it is, and must be there; empty means the project's own, which is built when missing.
	Image string
	// Network is the bridge network of the hosts; empty means one for each installation.
	Network string
	// Installation tells whose networks may be used; without it, one of some other installation is found out at launch.
	Installation func(context.Context) (string, error)
	// BaseImage is what the project's own image starts from where it is there or can be pulled; by default debian:12.
	BaseImage string
	// ImageCacheDir keeps the built image as a file; by default it lies in the user's cache directory.
	ImageCacheDir string
	// Log takes what is worth knowing but nobody waits for; nil discards it.
	Log *slog.Logger
}

// Cloud is a Docker Engine that gives hosts. It implements cloud.Cloud.
type Cloud struct {
	api    *client.Client
	opts   Options
	recipe imageRecipe
	log    *slog.Logger

	building slot       // one image build at a time
	launches keyedSlots // one launch at a time for each name
	network  slot       // creating the network, and removing it when nobody is left
	privilege
}

var _ cloud.Cloud = (*Cloud)(nil)

// New returns the cloud; it does not connect yet.
func New(o Options) (*Cloud, error) {
	how := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if o.Host != "" {
		how = append(how, client.WithHost(o.Host))
	}
	api, err := client.NewClientWithOpts(how...)
	if err != nil {
		return nil, &cloud.Error{Kind: cloud.Access, Message: "set up the Docker client: check DOCKER_HOST", Cause: err}
	}
	if o.BaseImage == "" {
		o.BaseImage = defaultBaseImage
	}
	if o.ImageCacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a place for the host image: %w; set HOME", err)
		}
		o.ImageCacheDir = filepath.Join(dir, "skyctl", "images")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r, err := loadRecipe(o.BaseImage)
	if err != nil {
		return nil, err
	}
	return &Cloud{
		api: api, opts: o, recipe: r, log: o.Log,
		building: newSlot(), network: newSlot(), launches: keyedSlots{byName: map[string]*namedSlot{}},
	}, nil
}

// Close lets go of the connections to the engine.
func (c *Cloud) Close() error { return c.api.Close() }

// isEngineLocal says whether the engine runs on this machine, so that its paths are ours.
func (c *Cloud) isEngineLocal() bool { return strings.HasPrefix(c.api.DaemonHost(), "unix://") }

// wrapEngineError gives an engine's error its kind and says what was being done.
func (c *Cloud) wrapEngineError(doing string, err error) error {
	var typed *cloud.Error
	switch {
	case errors.As(err, &typed), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &cloud.Error{Kind: cloud.Unreachable, Cause: err, Message: fmt.Sprintf(
			"%s: the Docker engine at %s does not answer", doing, c.api.DaemonHost())}
	case errors.Is(err, os.ErrPermission): // the client's own sentence would only say it again, and so below
		return &cloud.Error{Kind: cloud.Access, Message: fmt.Sprintf(
			"%s: this user may not use the Docker engine at %s: add it to the group docker, or run as root",
			doing, c.api.DaemonHost())}
	case client.IsErrConnectionFailed(err):
		return &cloud.Error{Kind: cloud.Unreachable, Message: fmt.Sprintf(
			"%s: no Docker engine answers at %s: start it (systemctl start docker), or set DOCKER_HOST",
			doing, c.api.DaemonHost())}
	}
	return &cloud.Error{Kind: engineErrorKind(err), Message: doing, Cause: err}
}

// engineErrorKind judges an error that the engine itself gave; some it tells apart in words only.
func engineErrorKind(err error) cloud.ErrorKind {
	text := err.Error()
	switch {
	case strings.Contains(text, "no space left on device"),
		strings.Contains(text, "address pool"),
		strings.Contains(text, "cannot allocate memory"):
		return cloud.Capacity
	case errdefs.IsInvalidArgument(err):
		return cloud.Infeasible
	case errdefs.IsConflict(err):
		return cloud.Conflict
	}
	return cloud.Transient
}
