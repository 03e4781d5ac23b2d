package skypilot

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

var _ cloud.Starter = (*Cloud)(nil)

// Start has SkyPilot start a machine that was stopped. Its addresses may be new: on AWS and GCP the private one stays.
func (c *Cloud) Start(ctx context.Context, target cloud.Target, _ string) (cloud.Machine, error) {
	none := cloud.Machine{}
	if err := c.ready(ctx); err != nil {
		return none, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, launchTime)
		defer cancel()
	}
	release, err := c.names.acquire(ctx, target.Name)
	if err != nil {
		return none, fmt.Errorf("start machine %s: %w", target.Name, err)
	}
	defer release()
	found, err := c.identifyNow(ctx, target)
	if err != nil {
		return none, err
	}
	if found.Status != clusterUp {
		if err := c.startCluster(ctx, target, found); err != nil {
			return none, err
		}
	}
	return c.started(ctx, target)
}

// identifyNow is the SkyPilot cluster that is the target, as its cloud says that it is now.
func (c *Cloud) identifyNow(ctx context.Context, target cloud.Target) (*record, error) {
	found, err := c.identify(ctx, target)
	if err != nil {
		return nil, err
	}
	gone := &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
		"start machine %s: SkyPilot has no such machine; where its cloud has it, start it there", target.Name)}
	if found == nil {
		return nil, gone
	}
	if err := c.alone(ctx, target, found); err != nil {
		return nil, err
	}
	fresh, err := c.refresh(ctx, target.Owner, []record{*found})
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

// startCluster asks the server, with the configuration of a launch: SkyPilot would make a group and an instance profile of its own
// besides.
func (c *Cloud) startCluster(ctx context.Context, target cloud.Target, found *record) error {
	doing := "start machine " + target.Name
	if target.Cloud == "" {
		target.Cloud = found.cloudName()
	}
	as := cloud.LaunchRequest{Owner: target.Owner, Name: target.Name, Placement: api.Placement{Cloud: target.Cloud}}
	profile, err := c.profile(ctx, as)
	if err != nil {
		return err
	}
	id, err := c.client.submit(ctx, "/start", startBody{
		common: common{Env: user(target.Owner.Installation).env(), Override: override(as, profile)}, ClusterName: target.Name,
	})
	if err == nil {
		err = c.client.get(ctx, id, nil)
	}
	var failed *failedRequest
	switch {
	case errors.As(err, &failed):
		return judged(doing, failed, c.provisionLog(ctx, as))
	case isGone(err), errors.Is(err, errCancelled):
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: doing}
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// started is the target where it runs.
func (c *Cloud) started(ctx context.Context, target cloud.Target) (cloud.Machine, error) {
	found, err := c.find(ctx, target.Owner, target.Name, refreshNone)
	if err == nil && found == nil {
		err = &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf("machine %s was started, and SkyPilot does not know it any more", target.Name)}
	}
	if err != nil {
		return cloud.Machine{}, err
	}
	all, err := c.machines(ctx, []record{*found})
	if err != nil {
		return cloud.Machine{}, err
	}
	m := all[0]
	if err := target.Check(m); err != nil {
		return cloud.Machine{}, err
	}
	if m.State != cloud.StateRunning || m.Address == "" {
		return cloud.Machine{}, &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"machine %s was started; SkyPilot says that it is %s, and has no address for it", target.Name, found.Status)}
	}
	return m, nil
}
