// Package docker provides machines that are systemd containers of a Docker Engine: hosts that boot in seconds, for
// clusters on one's own computer and for tests.
//
// A host has OpenSSH, a user with sudo, limits on CPUs and memory, and an address of its own on a bridge network that
// skyctl creates. Every port of a host can be reached from this computer at that address, so requested ports need no
// opening; nothing is published on the computer's own addresses.
package docker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostimage"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostnet"
	"github.com/sky-shift/skyctl/pkg/computer"
	"github.com/sky-shift/skyctl/pkg/keyedlock"
)

const (
	// Name is this cloud's name in a spec and in placements.
	Name = "docker"
	// Region is the only one: the computer that the engine runs on.
	Region = "local"

	defaultBaseImage = "debian:12"
)

// Options of the cloud.
type Options struct {
	// Host is the engine's address; empty means the one in the environment (DOCKER_HOST) or the usual socket.
	Host string
	// Image is used for hosts as it is, and must exist; empty means the project's own, which is built when missing.
	Image string
	// Network is the bridge network of the hosts; empty means one for each installation.
	Network string
	// Installation returns the id of the installation whose networks may be used. Without it, only a launch detects the
	// network of another installation.
	Installation func(context.Context) (string, error)
	// BaseImage is what the project's own image is built from if the engine has it or can pull it; by default
	// debian:12.
	BaseImage string
	// ImageCacheDir keeps the built image as a file, and the lock files; by default a part of the user's cache
	// directory.
	ImageCacheDir string
	// Log receives what no caller waits for; nil discards it.
	Log *slog.Logger
}

// Cloud is a Docker Engine that runs hosts. It implements cloud.Cloud.
type Cloud struct {
	opts    Options
	engine  *engine.Engine
	image   *hostimage.Image
	network *hostnet.Network
	// facts are those of the last look at the computer.
	facts    atomic.Pointer[computer.Facts]
	launches keyedlock.Locks // one launch, start or termination at a time for each name
	privilege
}

var _ cloud.Cloud = (*Cloud)(nil)

// New returns the cloud; it does not connect yet.
func New(o Options) (*Cloud, error) {
	o.BaseImage = cmp.Or(o.BaseImage, defaultBaseImage)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.ImageCacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a directory for the host image: %w; set HOME", err)
		}
		o.ImageCacheDir = filepath.Join(dir, "skyctl", "images")
	}
	e, err := engine.New(engine.Options{Host: o.Host, LockDir: o.ImageCacheDir, Log: o.Log})
	if err != nil {
		return nil, err
	}
	image, err := hostimage.New(e, hostimage.Options{
		Name: o.Image, BaseImage: o.BaseImage, CacheDir: o.ImageCacheDir,
	})
	if err != nil {
		return nil, err
	}
	return &Cloud{opts: o, engine: e, image: image, network: hostnet.New(e, o.Network, o.Installation)}, nil
}

// Close closes the connections to the engine.
func (c *Cloud) Close() error { return c.engine.Close() }

// ImageName is the image that hosts are made from.
func (c *Cloud) ImageName() string { return c.image.Name() }

// EnsureImage makes sure that the engine has the host image, and builds it if necessary.
func (c *Cloud) EnsureImage(ctx context.Context, progress func(string)) error {
	return c.image.Ensure(ctx, progress)
}

// RemoveImage removes the host image that was built and its file. Hosts that run from it keep it until they are gone.
func (c *Cloud) RemoveImage(ctx context.Context) error { return c.image.Remove(ctx) }
