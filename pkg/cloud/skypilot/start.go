package skypilot

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

var _ cloud.Starter = (*Cloud)(nil)

// StartMachine has SkyPilot start a machine that was stopped. Its addresses may be new: on AWS and GCP the private one
// stays.
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
	release, err := c.names.acquire(ctx, target.Name)
	if err != nil {
		return none, fmt.Errorf("start machine %s: %w", target.Name, err)
	}
	defer release()
	found, err := c.refreshTargetRecord(ctx, target)
	if err != nil {
		return none, err
	}
	if found.Status != clusterUp {
		if err := c.startStoppedCluster(ctx, target, found); err != nil {
			return none, err
		}
	}
	return c.readStartedMachine(ctx, target)
}

// refreshTargetRecord is the SkyPilot cluster that is the target, as its cloud says that it is now.
func (c *Cloud) refreshTargetRecord(ctx context.Context, target cloud.Target) (*clusterRecord, error) {
	found, err := c.findTargetRecord(ctx, target)
	if err != nil {
		return nil, err
	}
	gone := &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
		"start machine %s: SkyPilot has no such machine; where its cloud has it, start it there", target.Name)}
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

// startStoppedCluster asks the server, with the configuration of a launch: SkyPilot would make a group and an instance
// profile of its own besides.
func (c *Cloud) startStoppedCluster(ctx context.Context, target cloud.Target, found *clusterRecord) error {
	doing := "start machine " + target.Name
	if target.Cloud == "" {
		target.Cloud = found.cloudName()
	}
	as := cloud.LaunchRequest{Owner: target.Owner, Name: target.Name, Placement: api.Placement{Cloud: target.Cloud}}
	profile, err := c.chooseInstanceProfile(ctx, as)
	if err != nil {
		return err
	}
	id, err := c.client.submitRequest(ctx, "/start", startBody{
		requestSettings: requestSettings{Env: installationIdentity(target.Owner.Installation).requestEnv(),
			Override: newConfigOverride(as, profile)}, ClusterName: target.Name,
	})
	if err == nil {
		err = c.client.awaitResult(ctx, id, nil)
	}
	var failed *failedRequest
	switch {
	case errors.As(err, &failed):
		return toCloudError(doing, failed, c.readProvisionLog(ctx, as))
	case isNotFound(err), errors.Is(err, errCancelled):
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: doing}
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// readStartedMachine is the target where it runs.
func (c *Cloud) readStartedMachine(ctx context.Context, target cloud.Target) (cloud.Machine, error) {
	found, err := c.findClusterRecord(ctx, target.Owner, target.Name, refreshNone)
	if err == nil && found == nil {
		err = &cloud.Error{Kind: cloud.Transient,
			Message: fmt.Sprintf("machine %s was started, and SkyPilot does not know it any more", target.Name)}
	}
	if err != nil {
		return cloud.Machine{}, err
	}
	all, err := c.readMachines(ctx, []clusterRecord{*found})
	if err != nil {
		return cloud.Machine{}, err
	}
	m := all[0]
	if err := target.CheckIdentity(m); err != nil {
		return cloud.Machine{}, err
	}
	if m.State != cloud.StateRunning || m.Address == "" {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"machine %s was started; SkyPilot says that it is %s, and has no address for it", target.Name,
			found.Status)}
	}
	return m, nil
}
