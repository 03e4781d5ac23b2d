package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// terminateTime is how long ending a machine may take, where the caller sets no deadline.
const terminateTime = 2 * time.Minute

// List returns the owner's hosts, stopped ones as well.
func (c *Cloud) List(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	if owner.Installation == "" {
		return nil, &cloud.Error{Kind: cloud.Infeasible, Message: "list machines: the installation's id is missing"}
	}
	match := []filters.KeyValuePair{filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation)}
	if owner.ClusterUID != "" {
		match = append(match, filters.Arg("label", cloud.LabelClusterUID+"="+owner.ClusterUID))
	}
	found, err := c.containers(ctx, match...)
	if err != nil {
		return nil, c.fail("list machines", err)
	}
	machines := make([]cloud.Machine, 0, len(found))
	for _, s := range found {
		machines = append(machines, machineOf(s))
	}
	return machines, nil
}

// Terminate removes the owner's host of that name with its volumes, and returns once the engine no longer lists it. What
// has the name and is another cluster's, another installation's or nobody's means that the owner's is not there; it is
// left alone.
func (c *Cloud) Terminate(ctx context.Context, owner cloud.Owner, name string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, terminateTime)
		defer cancel()
	}
	if owner.Installation == "" {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf("terminate machine %s: the installation's id is missing", name)}
	}
	release, err := c.launches.acquire(ctx, name)
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", name, err)
	}
	defer release()
	found, err := c.find(ctx, name)
	if err != nil || found == nil {
		return err
	}
	has := machineOf(*found).Owner
	if has.Installation != owner.Installation || owner.ClusterUID != "" && has.ClusterUID != owner.ClusterUID {
		c.log.Info("a container has the name of a machine to terminate, and is another's: it is left alone", "machine", name, "container", found.ID)
		return nil
	}
	var last error
	err = poll(ctx, awaitEvery, func() (bool, error) {
		last = c.api.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if last != nil && !errdefs.IsNotFound(last) {
			// Somebody else may be removing it, or a mount is still busy: the listing decides.
			c.log.Debug("removing a container", "machine", name, "error", last)
		}
		left, err := c.containers(ctx, filters.Arg("id", found.ID))
		if err != nil {
			return false, c.fail("look for machine "+name, err)
		}
		return len(left) == 0, nil
	})
	if err != nil && last != nil && ctx.Err() != nil {
		err = last
	}
	if err != nil {
		return c.fail("terminate machine "+name, err)
	}
	return nil
}
