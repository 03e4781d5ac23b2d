package docker

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

var _ cloud.Starter = (*Cloud)(nil)

// Start starts the target, at the address that it had, and returns once its sshd answers.
func (c *Cloud) Start(ctx context.Context, target cloud.Target, privateAddress string) (cloud.Machine, error) {
	name := target.Name
	release, err := c.launches.acquire(ctx, name)
	if err != nil {
		return cloud.Machine{}, fmt.Errorf("start machine %s: %w", name, err)
	}
	defer release()
	found, err := c.identify(ctx, target)
	if err != nil {
		return cloud.Machine{}, err
	}
	if found == nil {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf("start machine %s: it is not there", name)}
	}
	switch found.State {
	case container.StatePaused:
		err = c.api.ContainerUnpause(ctx, found.ID)
	case container.StateRunning, container.StateRestarting:
	default:
		if err = c.readdress(ctx, *found, target.Owner, privateAddress); err == nil {
			err = c.api.ContainerStart(ctx, found.ID, container.StartOptions{})
		}
	}
	if err != nil {
		return cloud.Machine{}, c.fail("start machine "+name, err)
	}
	return c.booted(ctx, name, found.ID)
}

// readdress has a host that is stopped come up at an address. An engine gives the next free one otherwise, and a head that
// moves is lost to its workers. Interrupted, it leaves a host on no network; done again, it puts that right.
func (c *Cloud) readdress(ctx context.Context, s container.Summary, owner cloud.Owner, address string) error {
	if address == "" {
		return nil
	}
	on := c.networkName(owner)
	if s.NetworkSettings != nil {
		for name := range s.NetworkSettings.Networks {
			on = name
			if err := c.api.NetworkDisconnect(ctx, name, s.ID, true); err != nil {
				return err
			}
		}
	}
	return c.api.NetworkConnect(ctx, on, s.ID, &network.EndpointSettings{
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address},
	})
}
