package docker

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostnet"
)

var _ cloud.Starter = (*Cloud)(nil)

// StartMachine starts the target at the address that it had and returns once its SSH server answers. A host that runs
// at another address gets its own back, unless that is the fixed address of another host.
func (c *Cloud) StartMachine(ctx context.Context, target cloud.Target, privateAddress string) (cloud.Machine, error) {
	name, owner := target.Name, target.Owner
	release, err := c.launches.Acquire(ctx, name)
	if err != nil {
		return cloud.Machine{}, fmt.Errorf("start machine %s: %w", name, err)
	}
	defer release()
	found, err := c.findTargetContainer(ctx, target)
	if err != nil {
		return cloud.Machine{}, err
	}
	if found == nil {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Conflict,
			Message: fmt.Sprintf("start machine %s: it does not exist", name)}
	}
	switch found.State {
	case container.StatePaused:
		err = c.engine.API.ContainerUnpause(ctx, found.ID)
	case container.StateRestarting:
	case container.StateRunning:
		err = c.network.EnsureAssignedAddress(ctx, *found, owner, privateAddress)
	default:
		if err = c.network.EnsureAssignedAddress(ctx, *found, owner, privateAddress); err == nil {
			err = c.startAtAssignedAddress(ctx, *found, owner)
		}
	}
	if err != nil {
		return cloud.Machine{}, c.engine.WrapError("start machine "+name, err)
	}
	return c.awaitHostSSH(ctx, name, found.ID)
}

// startAtAssignedAddress starts a host at its fixed address, or at a new one if something that is not a host has it.
func (c *Cloud) startAtAssignedAddress(ctx context.Context, s container.Summary, owner cloud.Owner) error {
	err := c.engine.API.ContainerStart(ctx, s.ID, container.StartOptions{})
	if !hostnet.IsAddressTaken(err) {
		return err
	}
	if err := c.network.MoveToFreeAddress(ctx, s, owner, err); err != nil {
		return err
	}
	return c.engine.API.ContainerStart(ctx, s.ID, container.StartOptions{})
}
