package docker

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

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

// findNetwork returns the networks of a name, the one that counts first. An engine allows several of one name.
func (c *Cloud) findNetwork(ctx context.Context, name string) ([]network.Summary, error) {
	found, err := c.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return nil, c.fail("look for network "+name, err)
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
	found, err := c.findNetwork(ctx, name)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[0].ID, ownNetwork(found[0], owner)
	}
	made, err := c.api.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Labels: map[string]string{cloud.LabelInstallation: owner.Installation},
	})
	if err != nil && !errdefs.IsConflict(err) {
		return "", c.fail("create network "+name, err)
	}
	// Another process may have created it in the same moment. All of them keep the first.
	found, err = c.findNetwork(ctx, name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf("create network %s: it is gone again", name)}
	}
	if made.ID != "" && made.ID != found[0].ID {
		if err := c.api.NetworkRemove(ctx, made.ID); err != nil {
			c.log.Warn("could not remove a network that was made twice", "network", name, "id", made.ID, "error", err)
		}
	}
	return found[0].ID, ownNetwork(found[0], owner)
}

// ownNetwork refuses a network that is not the installation's.
func ownNetwork(n network.Summary, owner cloud.Owner) error {
	if n.Labels[cloud.LabelInstallation] == owner.Installation {
		return nil
	}
	return &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
		"network %s (%.12s) was not made by this installation of skyctl: it is left alone, choose another network's name",
		n.Name, n.ID)}
}

// Release removes the installation's network once none of its hosts is left, of whichever cluster. The image stays.
func (c *Cloud) Release(ctx context.Context, owner cloud.Owner) error {
	c.network.Lock()
	defer c.network.Unlock()
	left, err := c.List(ctx, cloud.Owner{Installation: owner.Installation})
	if err != nil || len(left) > 0 {
		return err
	}
	found, err := c.findNetwork(ctx, c.networkName(owner))
	if err != nil {
		return err
	}
	for _, n := range found {
		if ownNetwork(n, owner) != nil {
			continue
		}
		// In use after all: another process launches into it, and will release it.
		err := c.api.NetworkRemove(ctx, n.ID)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsPermissionDenied(err) && !errdefs.IsConflict(err) {
			return c.fail("remove network "+n.Name, err)
		}
	}
	return nil
}
