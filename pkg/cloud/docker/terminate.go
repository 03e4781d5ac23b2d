package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// terminateTimeout is how long a termination may take if the caller has no deadline.
const terminateTimeout = 2 * time.Minute

// ListMachines returns the owner's hosts, including stopped ones.
func (c *Cloud) ListMachines(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	if owner.Installation == "" {
		return nil, &cloud.Error{Kind: cloud.Infeasible, Message: "list machines: the installation's id is missing"}
	}
	match := []filters.KeyValuePair{filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation)}
	if owner.ClusterUID != "" {
		match = append(match, filters.Arg("label", cloud.LabelClusterUID+"="+owner.ClusterUID))
	}
	found, err := c.engine.ListContainers(ctx, match...)
	if err != nil {
		return nil, c.engine.WrapError("list machines", err)
	}
	machines := make([]cloud.Machine, 0, len(found))
	for _, s := range found {
		machines = append(machines, machineOf(s))
	}
	return machines, nil
}

// TerminateMachine removes the target with its volumes, and returns once the engine no longer lists it.
func (c *Cloud) TerminateMachine(ctx context.Context, target cloud.Target) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, terminateTimeout)
		defer cancel()
	}
	name := target.Name
	if target.Owner.Installation == "" {
		return &cloud.Error{Kind: cloud.Infeasible,
			Message: fmt.Sprintf("terminate machine %s: the installation's id is missing", name)}
	}
	release, err := c.launches.Acquire(ctx, name)
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", name, err)
	}
	defer release()
	found, err := c.findTargetContainer(ctx, target)
	if err != nil {
		return err
	}
	if found == nil { // if it was removed by hand, its volumes are left
		return c.removeDanglingVolumes(ctx, target.Owner, name, target.Incarnation)
	}
	var last error
	err = await.Condition(ctx, pollInterval, func() (bool, error) {
		last = c.engine.API.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if last != nil && !errdefs.IsNotFound(last) {
			// Someone else may be removing it, or a mount is still busy: the list decides.
			c.engine.Log.Debug("removing a container", "machine", name, "error", last)
		}
		left, err := c.engine.ListContainers(ctx, filters.Arg("id", found.ID))
		if err != nil {
			return false, c.engine.WrapError("look for machine "+name, err)
		}
		return len(left) == 0, nil
	})
	if err != nil && last != nil && ctx.Err() != nil {
		err = last
	}
	if err != nil {
		return c.engine.WrapError("terminate machine "+name, err)
	}
	return c.removeDanglingVolumes(ctx, target.Owner, name, target.Incarnation)
}

// findTargetContainer finds the target's container. It returns nil if it does not exist, and a Conflict if it does not
// match.
func (c *Cloud) findTargetContainer(ctx context.Context, target cloud.Target) (*container.Summary, error) {
	match := filters.Arg("label", cloud.LabelInstallation+"="+target.Owner.Installation)
	if target.ID != "" { // ids are unique, and FindMachine checks the labels
		match = filters.Arg("id", target.ID)
	}
	found, err := c.engine.ListContainers(ctx, match)
	if err != nil {
		return nil, c.engine.WrapError("look for machine "+target.Name, err)
	}
	machines := make([]cloud.Machine, len(found))
	for i, s := range found {
		machines[i] = machineOf(s)
	}
	chosen, err := target.FindMachine(machines)
	if err != nil || chosen == nil {
		return nil, err
	}
	for i := range found {
		if found[i].ID == chosen.ID {
			return &found[i], nil
		}
	}
	return nil, nil
}

// RemoveClusterResources removes what is left of the cluster's hosts, and the installation's network if no host of any
// cluster is left on it. The image stays.
func (c *Cloud) RemoveClusterResources(ctx context.Context, owner cloud.Owner) error {
	release, err := c.network.Lock(ctx)
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
	return c.network.Remove(ctx, owner)
}
