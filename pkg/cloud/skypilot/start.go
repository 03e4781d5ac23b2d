package skypilot

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

var _ cloud.Starter = (*Cloud)(nil)

// StartMachine has SkyPilot start a machine that was stopped. Its addresses may be new; on AWS and GCP it keeps the
// private one.
func (c *Cloud) StartMachine(ctx context.Context, target cloud.Target, _ string) (cloud.Machine, error) {
	none := cloud.Machine{}
	if err := c.ensureServerReady(ctx); err != nil {
		return none, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, launchTimeout)
		defer cancel()
	}
	release, err := c.names.Acquire(ctx, target.Name)
	if err != nil {
		return none, fmt.Errorf("start machine %s: %w", target.Name, err)
	}
	defer release()
	found, err := c.refreshTargetRecord(ctx, target)
	if err != nil {
		return none, err
	}
	if found.Status != client.ClusterUp {
		if err := c.startStoppedCluster(ctx, target, found, false); err != nil {
			return none, err
		}
	}
	up, err := c.readStartedMachine(ctx, target)
	if err != nil || up.Address != "" {
		return up, err
	}
	// SkyPilot forgets the addresses of a machine that stops, and does not ask for them if others start it.
	if err := c.startStoppedCluster(ctx, target, found, true); err != nil {
		return none, err
	}
	up, err = c.readStartedMachine(ctx, target)
	if err == nil && up.Address == "" {
		return none, &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"machine %s was started; SkyPilot has no address for it", target.Name)}
	}
	return up, err
}

// refreshTargetRecord is the SkyPilot cluster of the target, as its cloud shows it now.
func (c *Cloud) refreshTargetRecord(ctx context.Context, target cloud.Target) (*clusterRecord, error) {
	found, err := c.findTargetRecord(ctx, target)
	if err != nil {
		return nil, err
	}
	gone := &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
		"start machine %s: SkyPilot has no such machine; if its cloud has it, start it there", target.Name)}
	if found == nil {
		return nil, gone
	}
	if err := c.checkNoCopies(ctx, target, found); err != nil {
		return nil, err
	}
	fresh, err := c.refreshClusterRecords(ctx, target.Owner, []clusterRecord{*found})
	if err != nil {
		return nil, fmt.Errorf("start machine %s: %w", target.Name, err)
	}
	for i := range fresh {
		if fresh[i].Name == target.Name {
			return &fresh[i], nil
		}
	}
	return nil, gone
}

// startStoppedCluster starts a cluster with the configuration of a launch; without it SkyPilot would create a group and
// an instance profile of its own. force looks for the machine again although it is up.
func (c *Cloud) startStoppedCluster(ctx context.Context, target cloud.Target, found *clusterRecord,
	force bool) error {
	doing := "start machine " + target.Name
	if target.Cloud == "" {
		target.Cloud = found.CloudName()
	}
	as := cloud.LaunchRequest{Owner: target.Owner, Name: target.Name, Placement: api.Placement{Cloud: target.Cloud}}
	profile, err := c.chooseInstanceProfile(ctx, as)
	if err != nil {
		return err
	}
	id, err := c.client.Submit(ctx, "/start", client.StartBody{
		RequestSettings: client.RequestSettings{Env: installationIdentity(target.Owner.Installation).RequestEnv(),
			Override: task.NewConfigOverride(as, profile)}, ClusterName: target.Name, Force: force,
	})
	if err == nil {
		err = c.client.AwaitResult(ctx, id, nil)
	}
	var failed *client.FailedRequest
	switch {
	case errors.As(err, &failed):
		return failure.ToCloudError(doing, failed, c.readProvisionLog(ctx, as))
	case client.IsNotFound(err), errors.Is(err, client.ErrCancelled):
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: doing}
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// readStartedMachine returns the target if it runs; it may have no address.
func (c *Cloud) readStartedMachine(ctx context.Context, target cloud.Target) (cloud.Machine, error) {
	found, err := c.findClusterRecord(ctx, target.Owner, target.Name, client.RefreshNone)
	if err == nil && found == nil {
		err = &cloud.Error{Kind: cloud.Transient,
			Message: fmt.Sprintf("machine %s was started, but SkyPilot no longer knows it", target.Name)}
	}
	if err != nil {
		return cloud.Machine{}, err
	}
	all, err := c.readCurrentMachines(ctx, []clusterRecord{*found})
	if err != nil {
		return cloud.Machine{}, err
	}
	m := all[0]
	if err := target.CheckIdentity(m); err != nil {
		return cloud.Machine{}, err
	}
	if found.Status != client.ClusterUp {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"machine %s was started; SkyPilot reports it as %s", target.Name, found.Status)}
	}
	m.State = cloud.StateRunning
	return m, nil
}
