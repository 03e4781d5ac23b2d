package docker

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// networkName is the network of an installation's hosts. Names of networks are the engine's alone, so that two
// installations on one engine need two.
func (c *Cloud) networkName(owner cloud.Owner) string {
	if c.opts.Network != "" {
		return c.opts.Network
	}
	return fmt.Sprintf("skyctl-%.12s", owner.Installation)
}

// findNetworks returns the networks of a name, the one that counts first. An engine allows several of one name.
func (c *Cloud) findNetworks(ctx context.Context, name string) ([]network.Summary, error) {
	found, err := c.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return nil, c.wrapEngineError("look for network "+name, err)
	}
	found = slices.DeleteFunc(found, func(n network.Summary) bool { return n.Name != name })
	slices.SortFunc(found, func(a, b network.Summary) int {
		if d := a.Created.Compare(b.Created); d != 0 {
			return d
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return found, nil
}

// ensureNetwork returns the id of the installation's network, which it creates where it is missing.
func (c *Cloud) ensureNetwork(ctx context.Context, owner cloud.Owner) (string, error) {
	name := c.networkName(owner)
	found, err := c.findNetworks(ctx, name)
	if err != nil {
		return "", err
	}
	if err := c.removeRangeNetworks(ctx, owner); err != nil {
		return "", err
	}
	if len(found) > 0 {
		return c.keepFirstNetwork(ctx, found, owner)
	}
	labels := map[string]string{cloud.LabelInstallation: owner.Installation}
	subnet, err := c.findFreeSubnet(ctx, name, owner)
	if err != nil {
		return "", err
	}
	_, err = c.api.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Labels: labels, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}},
	})
	if err != nil && !errdefs.IsConflict(err) {
		return "", c.wrapEngineError("create network "+name, err)
	}
	// Somebody may have created it in the same moment, for engines do not look and create in one step.
	found, err = c.findNetworks(ctx, name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", &cloud.Error{Kind: cloud.Transient,
			Message: fmt.Sprintf("create network %s: it is gone again", name)}
	}
	return c.keepFirstNetwork(ctx, found, owner)
}

// rangeSuffix is in the name of a network that is made for the moment in which the engine chooses addresses.
const rangeSuffix = "-range"

// findFreeSubnet has the engine choose a range of addresses, by making a network and taking it away again. Only where a
// network was created with a range that somebody named does an engine take a fixed address for a host. A network that a
// process left which was killed meanwhile is removed by removeRangeNetworks; its name is used by nobody else, so that
// it is in no one's way.
func (c *Cloud) findFreeSubnet(ctx context.Context, name string, owner cloud.Owner) (string, error) {
	labels := c.scratchLabels(scratchRange)
	labels[cloud.LabelInstallation] = owner.Installation
	made, err := c.api.NetworkCreate(ctx, name+rangeSuffix+"-"+strings.ToLower(rand.Text()[:8]),
		network.CreateOptions{Driver: "bridge", Labels: labels})
	if err != nil {
		return "", c.wrapEngineError("find addresses for network "+name, err)
	}
	seen, err := c.api.NetworkInspect(ctx, made.ID, network.InspectOptions{})
	if removed := c.api.NetworkRemove(ctx, made.ID); err == nil && removed != nil && !errdefs.IsNotFound(removed) {
		err = removed
	}
	if err != nil {
		return "", c.wrapEngineError("find addresses for network "+name, err)
	}
	if len(seen.IPAM.Config) == 0 || seen.IPAM.Config[0].Subnet == "" {
		return "", &cloud.Error{Kind: cloud.Transient, Message: "the Docker engine named no addresses for network " +
			name}
	}
	return seen.IPAM.Config[0].Subnet, nil
}

// keepFirstNetwork returns the first of the networks of one name, which is the one that everybody keeps, and removes
// the others: no container starts while its network's name is ambiguous.
func (c *Cloud) keepFirstNetwork(ctx context.Context, found []network.Summary, owner cloud.Owner) (string, error) {
	if err := checkNetworkOwner(found[0], owner); err != nil {
		return "", err
	}
	for _, twin := range found[1:] {
		if checkNetworkOwner(twin, owner) != nil {
			continue
		}
		if err := c.api.NetworkRemove(ctx, twin.ID); err != nil && !errdefs.IsNotFound(err) {
			c.log.Warn("could not remove a network that was made twice", "network", twin.Name, "id", twin.ID, "error",
				err)
		}
	}
	return found[0].ID, nil
}

// ensureSingleNetwork sees to it that the installation's network is there once.
func (c *Cloud) ensureSingleNetwork(ctx context.Context, owner cloud.Owner) error {
	release, err := c.lockNetwork(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = c.ensureNetwork(ctx, owner)
	return err
}

// checkNetworkOwner refuses a network that is not the installation's.
func checkNetworkOwner(n network.Summary, owner cloud.Owner) error {
	if n.Labels[cloud.LabelInstallation] == owner.Installation {
		return nil
	}
	return &cloud.Error{Kind: cloud.Conflict,
		Message: fmt.Sprintf("network %s is not free: %s", n.Name, describeForeignNetwork(n))}
}

func describeForeignNetwork(n network.Summary) string {
	return fmt.Sprintf("the one that is there (%.12s) was not made by this installation of skyctl and is left "+
		"alone; name another "+
		"with the setting docker.network (SKYCTL_DOCKER_NETWORK) of skyd, and start skyd again", n.ID)
}

// checkNetworkName refuses what a launch would stumble over: a network of our name that is somebody else's. Its error
// is an *api.FieldError that names the setting.
func (c *Cloud) checkNetworkName(ctx context.Context) error {
	var owner cloud.Owner
	switch {
	case c.opts.Installation != nil:
		id, err := c.opts.Installation(ctx)
		if err != nil {
			return fmt.Errorf("find out whose network is to be used: %w", err)
		}
		owner.Installation = id
	case c.opts.Network == "":
		return nil // its name comes of the installation's id, so that nobody else has it
	}
	name := c.networkName(owner)
	found, err := c.findNetworks(ctx, name)
	if err != nil || len(found) == 0 {
		return err
	}
	made := found[0].Labels[cloud.LabelInstallation]
	if made != "" && (owner.Installation == "" || made == owner.Installation) {
		return nil
	}
	return &api.FieldError{Field: "docker.network", Value: name, Want: "the name of a network that is free: " +
		describeForeignNetwork(found[0])}
}

// lockNetwork keeps everybody else from creating or removing the network, in this process and in others.
func (c *Cloud) lockNetwork(ctx context.Context) (release func(), err error) {
	if err := c.network.acquire(ctx); err != nil {
		return nil, fmt.Errorf("wait for another launch: %w", err)
	}
	unlock, err := c.acquireFileLock(ctx, networkLock)
	if err != nil {
		c.network.release()
		return nil, err
	}
	return func() { unlock(); c.network.release() }, nil
}

// RemoveClusterResources removes what is left of the cluster's hosts, and the installation's network once none of its
// hosts is left, of whichever cluster. The image stays.
func (c *Cloud) RemoveClusterResources(ctx context.Context, owner cloud.Owner) error {
	release, err := c.lockNetwork(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := c.removeLeftovers(ctx, owner); err != nil {
		return err
	}
	left, err := c.ListMachines(ctx, cloud.Owner{Installation: owner.Installation})
	if err != nil || len(left) > 0 {
		return err
	}
	found, err := c.findNetworks(ctx, c.networkName(owner))
	if err != nil {
		return err
	}
	for _, n := range found {
		if checkNetworkOwner(n, owner) != nil {
			continue
		}
		// In use after all: another process launches into it, and will release it.
		err := c.api.NetworkRemove(ctx, n.ID)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsPermissionDenied(err) && !errdefs.IsConflict(err) {
			return c.wrapEngineError("remove network "+n.Name, err)
		}
	}
	return nil
}
