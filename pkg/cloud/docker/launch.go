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

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// pendingPrefix begins the reference of a launch whose container waits for the host image; any other is a container's
// id.
const pendingPrefix = "awaits-image/"

// raceTimeout bounds how long a launch looks again after somebody else got in between: an engine holds a name for a
// while before it lists the container.
const raceTimeout = 20 * time.Second

// SubmitLaunch creates and starts the host. Where the host image has yet to be built, that and the launch are left to
// Await, which can say how it goes.
func (c *Cloud) SubmitLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	there, err := c.hasImage(ctx, c.ImageName())
	if err != nil {
		return "", err
	}
	if !there {
		return pendingPrefix + req.Name, nil
	}
	return c.launchHost(ctx, req)
}

// launchHost returns the id of the one container of the request, which it creates, completes or starts as needed.
func (c *Cloud) launchHost(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	hostKey, err := publicHostKey(req)
	if err != nil {
		return "", err
	}
	if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(req.AuthorizedKey)); err != nil || len(rest) > 0 {
		return "", &cloud.Error{Kind: cloud.Infeasible, Cause: err,
			Message: fmt.Sprintf("machine %s: the key that may log in is not one public key", req.Name)}
	}
	release, err := c.launches.acquire(ctx, req.Name)
	if err != nil {
		return "", fmt.Errorf("launch machine %s: %w", req.Name, err)
	}
	defer release()
	var id string
	for give := time.After(raceTimeout); ; {
		id, err = c.tryLaunchHost(ctx, req, hostKey)
		if err == nil || !isLaunchRace(err) {
			return id, err
		}
		select {
		case <-time.After(pollInterval):
		case <-give:
			return "", &cloud.Error{Kind: cloud.Transient, Cause: err,
				Message: fmt.Sprintf("launch machine %s: others kept getting in between", req.Name)}
		case <-ctx.Done():
			return "", fmt.Errorf("launch machine %s: %w", req.Name, ctx.Err())
		}
	}
}

// isLaunchRace tells an error that came of somebody acting between our look and our act: looking again settles it.
func isLaunchRace(err error) bool {
	return errdefs.IsNotFound(err) || // the network, or the container itself
		errdefs.IsConflict(err) && strings.Contains(err.Error(), "is already in use by container") ||
		strings.Contains(err.Error(), "is ambiguous") || // two of a network's name, of which one is about to go
		isAddressTaken(err) // by a host of another user, who does not wait for our lock
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
		if !hasNetwork(*found) {
			err = c.ensureAssignedAddress(ctx, *found, req.Owner, "")
		}
		return found.ID, err
	case container.StateCreated:
		// A launch died, or is dying, between creating and starting: its keys may be missing, its network may be gone
		// or there twice. Doing all of it again is harmless.
		if err := c.ensureSingleNetwork(ctx, req.Owner); err != nil {
			return "", err
		}
		return found.ID, c.startNewContainer(ctx, found.ID, req)
	}
	if err = c.ensureAssignedAddress(ctx, *found, req.Owner, ""); err == nil {
		err = c.startAtAssignedAddress(ctx, *found, req.Owner)
	}
	if err != nil {
		return "", c.wrapEngineError(fmt.Sprintf("start machine %s again", req.Name), err)
	}
	return found.ID, nil
}

// createContainer makes the host's container, and the network with it.
func (c *Cloud) createContainer(ctx context.Context, req cloud.LaunchRequest, hostKey string) (string, error) {
	privileged, err := c.canRunPrivileged(ctx, c.ImageName())
	if err != nil {
		return "", err
	}
	c.raiseKernelLimits()
	release, err := c.lockNetwork(ctx) // Release must not find the network deserted between these two
	if err != nil {
		return "", err
	}
	defer release()
	networkID, err := c.ensureNetwork(ctx, req.Owner)
	if err != nil {
		return "", err
	}
	address, err := c.findFreeAddress(ctx, req.Owner, networkID, req.Name+" "+req.Incarnation)
	if err != nil {
		return "", err
	}
	made, err := c.api.ContainerCreate(ctx,
		&container.Config{
			Image: c.ImageName(), Hostname: req.Name, Labels: hostLabels(req, hostKey, address),
			Env: []string{"container=docker"}, StopSignal: "SIGRTMIN+3",
			Tty: true, // systemd says on the console how the boot goes, and why it fails
		},
		c.newHostConfig(req, networkID, privileged),
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{networkID: newEndpointSettings(
			address)}}, nil, req.Name)
	if err != nil {
		return "", c.wrapEngineError("create machine "+req.Name, err)
	}
	for _, warning := range made.Warnings {
		c.log.Debug("the Docker engine warns", "machine", req.Name, "warning", warning)
	}
	return made.ID, nil
}

// startNewContainer puts the keys into a container that never ran, and starts it. Keys go through the engine's copying
// alone: they are in no argument list, environment or layer.
func (c *Cloud) startNewContainer(ctx context.Context, id string, req cloud.LaunchRequest) error {
	const home = "home/" + sshUser + "/.ssh"
	files, err := packTarArchive([]tarEntry{
		{name: home + "/", mode: 0o700, uid: sshUID, gid: sshUID},
		{name: home + "/authorized_keys", mode: 0o600, uid: sshUID, gid: sshUID,
			data: []byte(strings.TrimSpace(req.AuthorizedKey) + "\n")},
		{name: "etc/ssh/ssh_host_key", mode: 0o600, data: req.HostKey},
	})
	if err != nil {
		return err
	}
	if err := c.api.CopyToContainer(ctx, id, "/", files, container.CopyToContainerOptions{}); err != nil {
		return c.wrapEngineError("put the keys on machine "+req.Name, err)
	}
	err = c.api.ContainerStart(ctx, id, container.StartOptions{})
	if err == nil {
		return nil
	}
	if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "network") || isAddressTaken(err) {
		// The network went away meanwhile, or its address is another's by now. It never ran, and is made anew.
		c.discardContainer(ctx, id)
	}
	return c.wrapEngineError("start machine "+req.Name, err)
}
