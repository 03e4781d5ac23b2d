package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostimage"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostnet"
)

// pendingPrefix marks the reference of a launch that waits for the host image. Any other reference is a container's id.
const pendingPrefix = "awaits-image/"

// raceTimeout bounds how long a launch is retried after a concurrent change: an engine reserves a name for a while
// before it lists the container.
const raceTimeout = 20 * time.Second

// SubmitLaunch creates and starts the host. If the host image is missing, AwaitLaunch does so after building it,
// because it can report progress.
func (c *Cloud) SubmitLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	there, err := c.image.IsPresent(ctx)
	if err != nil {
		return "", err
	}
	if !there {
		return pendingPrefix + req.Name, nil
	}
	return c.launchHost(ctx, req)
}

// launchHost returns the id of the request's container, which it creates, completes or starts as needed.
func (c *Cloud) launchHost(ctx context.Context, req cloud.LaunchRequest) (id string, err error) {
	hostKey, err := publicHostKey(req)
	if err != nil {
		return "", err
	}
	if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(req.AuthorizedKey)); err != nil || len(rest) > 0 {
		return "", &cloud.Error{Kind: cloud.Infeasible, Cause: err,
			Message: fmt.Sprintf("machine %s: the authorized key is not a single public key", req.Name)}
	}
	release, err := c.launches.Acquire(ctx, req.Name)
	if err != nil {
		return "", fmt.Errorf("launch machine %s: %w", req.Name, err)
	}
	defer release()
	var raced error
	within, cancel := context.WithTimeout(ctx, raceTimeout)
	defer cancel()
	err = await.Condition(within, pollInterval, func() (bool, error) {
		id, raced = c.tryLaunchHost(ctx, req, hostKey)
		if raced != nil && isLaunchRace(raced) {
			return false, nil
		}
		return raced == nil, raced
	})
	switch {
	case ctx.Err() != nil && raced != nil && isLaunchRace(raced):
		return "", fmt.Errorf("launch machine %s: %w", req.Name, ctx.Err())
	case within.Err() != nil && raced != nil && isLaunchRace(raced):
		return "", &cloud.Error{Kind: cloud.Transient, Cause: raced,
			Message: fmt.Sprintf("launch machine %s: it kept conflicting with concurrent changes", req.Name)}
	}
	return id, err
}

// isLaunchRace reports whether an error is due to a concurrent change between our check and our action. A retry
// resolves it.
func isLaunchRace(err error) bool {
	return errdefs.IsNotFound(err) || // the network, or the container itself
		errdefs.IsConflict(err) && strings.Contains(err.Error(), "is already in use by container") ||
		strings.Contains(err.Error(), "is ambiguous") || // a duplicate network, which is about to be removed
		hostnet.IsAddressTaken(err) // by a host of another user, whose processes do not share our locks
}

func (c *Cloud) tryLaunchHost(ctx context.Context, req cloud.LaunchRequest, hostKey string) (string, error) {
	found, err := c.findContainer(ctx, req.Name)
	if err != nil {
		return "", err
	}
	if found == nil {
		id, err := c.createContainer(ctx, req, hostKey)
		if err != nil {
			return "", err
		}
		return id, c.startNewContainer(ctx, id, req)
	}
	if err := checkSameLaunch(*found, req, hostKey); err != nil {
		return "", err
	}
	switch found.State {
	case container.StateRunning, container.StateRestarting, container.StatePaused:
		if !hostnet.HasNetwork(*found) {
			err = c.network.EnsureAssignedAddress(ctx, *found, req.Owner, "")
		}
		return found.ID, err
	case container.StateCreated:
		// A launch was interrupted between creating and starting the container: its keys may be missing, its network
		// may be missing or duplicated. Repeating all of it is harmless.
		if err := c.network.EnsureSingle(ctx, req.Owner); err != nil {
			return "", err
		}
		return found.ID, c.startNewContainer(ctx, found.ID, req)
	}
	if err = c.network.EnsureAssignedAddress(ctx, *found, req.Owner, ""); err == nil {
		err = c.startAtAssignedAddress(ctx, *found, req.Owner)
	}
	if err != nil {
		return "", c.engine.WrapError(fmt.Sprintf("start machine %s again", req.Name), err)
	}
	return found.ID, nil
}

// createContainer creates the host's container, and its network if necessary.
func (c *Cloud) createContainer(ctx context.Context, req cloud.LaunchRequest, hostKey string) (string, error) {
	privileged, err := c.canRunPrivileged(ctx, c.ImageName())
	if err != nil {
		return "", err
	}
	c.raiseKernelLimits()
	release, err := c.network.Lock(ctx) // keeps the network from being removed before the container is on it
	if err != nil {
		return "", err
	}
	defer release()
	networkID, err := c.network.Ensure(ctx, req.Owner)
	if err != nil {
		return "", err
	}
	address, err := c.network.FindFreeAddress(ctx, req.Owner, networkID, req.Name+" "+req.Incarnation)
	if err != nil {
		return "", err
	}
	made, err := c.engine.API.ContainerCreate(ctx,
		&container.Config{
			Image: c.ImageName(), Hostname: req.Name, Labels: hostLabels(req, hostKey, address),
			Env: []string{"container=docker"}, StopSignal: "SIGRTMIN+3",
			Tty: true, // systemd reports on the console how the boot proceeds, and why it fails
		},
		c.newHostConfig(req, networkID, privileged),
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{networkID: hostnet.NewEndpoint(
			address)}}, nil, req.Name)
	if err != nil {
		return "", c.engine.WrapError("create machine "+req.Name, err)
	}
	for _, warning := range made.Warnings {
		c.engine.Log.Debug("the Docker engine warns", "machine", req.Name, "warning", warning)
	}
	return made.ID, nil
}

// startNewContainer copies the keys into a container that never ran, and starts it. The keys are in no argument list,
// environment or image layer.
func (c *Cloud) startNewContainer(ctx context.Context, id string, req cloud.LaunchRequest) error {
	const (
		home = "home/" + hostimage.SSHUser + "/.ssh"
		user = hostimage.SSHUserID
	)
	if err := c.engine.CopyFiles(ctx, id, []engine.File{
		{Name: home + "/", Mode: 0o700, UID: user, GID: user},
		{Name: home + "/authorized_keys", Mode: 0o600, UID: user, GID: user,
			Data: []byte(strings.TrimSpace(req.AuthorizedKey) + "\n")},
		{Name: "etc/ssh/ssh_host_key", Mode: 0o600, Data: req.HostKey},
	}); err != nil {
		return c.engine.WrapError("copy the keys to machine "+req.Name, err)
	}
	err := c.engine.API.ContainerStart(ctx, id, container.StartOptions{})
	if err == nil {
		return nil
	}
	if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "network") || hostnet.IsAddressTaken(err) {
		// Its network was removed meanwhile, or another container has its address. It never ran, so it is created
		// again.
		c.engine.DiscardContainer(ctx, id)
	}
	return c.engine.WrapError("start machine "+req.Name, err)
}
