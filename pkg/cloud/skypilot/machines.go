package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/aws"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
)

const (
	// terminateTimeout is how long a termination may take if the caller has no deadline.
	terminateTimeout = 10 * time.Minute
	confirmInterval  = time.Second
)

// ListMachines returns the owner's machines as their clouds show them, including those that are being launched.
func (c *Cloud) ListMachines(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	return c.ListVerified(ctx, owner, cloud.KnownMachines{})
}

// ListVerified also checks that SkyPilot has access to the known clouds, and records of the known machines.
func (c *Cloud) ListVerified(ctx context.Context, owner cloud.Owner, known cloud.KnownMachines) ([]cloud.Machine,
	error) {
	if owner.Installation == "" {
		return nil, &cloud.Error{Kind: cloud.Infeasible, Message: "list machines: the installation's id is missing"}
	}
	if err := c.ensureServerReady(ctx); err != nil {
		return nil, err
	}
	// Launches are listed first: one that ends in between is then among the records.
	launching, err := c.listActiveLaunches(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	found, silent, err := c.listClusterRecords(ctx, owner, launching)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	listed, err := c.readCurrentMachines(ctx, found)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	for _, r := range launching {
		labels := launchLabels(r)
		named := func(m cloud.Machine) bool { return m.Name == r.ClusterName }
		if isOwnedBy(labels, owner) && !slices.ContainsFunc(listed, named) {
			listed = append(listed, cloud.MachineFromLabels(r.ClusterName, labels))
		}
	}
	closed, err := c.enableKnownClouds(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	listed, err = c.mergeStrays(ctx, owner, found, listed)
	if err != nil {
		closed = append(closed, silentCloud{aws.Name, err})
	}
	forgotten, err := c.findForgottenMachines(ctx, owner, known.Machines, listed)
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	for _, s := range append(closed, forgotten...) {
		silent[s.name] = errors.Join(silent[s.name], s.why)
	}
	if len(silent) > 0 {
		return listed, fmt.Errorf("list machines: %w", &cloud.PartialError{Clouds: silent})
	}
	return listed, nil
}

// findClusterRecord returns the cluster of a name, whoever owns it, or nil.
func (c *Cloud) findClusterRecord(ctx context.Context, owner cloud.Owner, name, refresh string) (*clusterRecord,
	error) {
	found, err := c.readClusterRecords(ctx, owner, []string{name}, refresh)
	if err != nil {
		return nil, fmt.Errorf("look for machine %s: %w", name, err)
	}
	for i := range found {
		if found[i].Name == name {
			return &found[i], nil
		}
	}
	return nil, nil
}

// readMachines converts clusters to machines. Their addresses may be outdated.
func (c *Cloud) readMachines(ctx context.Context, records []clusterRecord) ([]cloud.Machine, error) {
	locations, err := c.readLocations(ctx, records)
	if err != nil {
		return nil, err
	}
	c.asked.apply(records, locations)
	return toMachines(records, locations), nil
}

// readCurrentMachines converts clusters to machines, and asks their clouds for their addresses.
func (c *Cloud) readCurrentMachines(ctx context.Context, records []clusterRecord) ([]cloud.Machine, error) {
	locations, err := c.readLocations(ctx, records)
	if err != nil {
		return nil, err
	}
	c.updateAddresses(ctx, records, locations)
	return toMachines(records, locations), nil
}

func (c *Cloud) readLocations(ctx context.Context, records []clusterRecord) ([]bridge.Location, error) {
	if len(records) == 0 {
		return nil, nil
	}
	handles := make([]string, len(records))
	for i, r := range records {
		handles[i] = r.Handle
	}
	return c.bridge.ReadLocations(ctx, handles)
}

func toMachines(records []clusterRecord, locations []bridge.Location) []cloud.Machine {
	all := make([]cloud.Machine, 0, len(records))
	for i, r := range records {
		m, at := cloud.MachineFromLabels(r.Name, r.Labels), locations[i]
		m.ID, m.Address, m.PrivateAddress, m.SSHPort = at.ID, at.Address, at.PrivateAddress, at.SSHPort
		if m.SSHPort == 0 {
			m.SSHPort = 22
		}
		if r.Credentials != nil {
			m.SSHUser = r.Credentials.User
		}
		m.CreatedAt, m.CPUs, m.MemoryGiB = time.Unix(r.LaunchedAt, 0), at.CPUs, at.MemoryGiB
		m.Cloud, m.PricePerHour, m.NoStart = r.CloudName(), at.Price, !at.Startable
		switch {
		case r.unasked:
			m.State = cloud.StateUnknown
		case r.Status == client.ClusterUp && m.Address == "" && at.Startable:
			m.State = cloud.StateStopped // others have started it: StartMachine finds its addresses
		case r.Status == client.ClusterUp:
			m.State = cloud.StateRunning
		case r.Status == client.ClusterInit:
			m.State = cloud.StatePending
		default:
			m.State = cloud.StateStopped
		}
		all = append(all, m)
	}
	return all
}

// TerminateMachine cancels the launch of the target, takes its cluster down and checks that the machine is gone.
func (c *Cloud) TerminateMachine(ctx context.Context, target cloud.Target) error {
	owner, name := target.Owner, target.Name
	if owner.Installation == "" {
		return &cloud.Error{Kind: cloud.Infeasible,
			Message: fmt.Sprintf("terminate machine %s: the installation's id is missing", name)}
	}
	if err := c.ensureServerReady(ctx); err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, terminateTimeout)
		defer cancel()
	}
	release, err := c.names.Acquire(ctx, name)
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", name, err)
	}
	defer release()
	if err := c.cancelTargetLaunches(ctx, target); err != nil {
		return err
	}
	for down := false; ; down = true {
		found, err := c.findTargetRecord(ctx, target)
		if err != nil {
			return err
		}
		if found == nil && down {
			return nil // SkyPilot has asked the cloud
		}
		if found == nil {
			return c.terminateForgotten(ctx, target)
		}
		if done, err := c.terminateBesideCopies(ctx, target, found); done || err != nil {
			return err
		}
		if err := c.takeClusterDown(ctx, owner, name); err != nil {
			return err
		}
		if err := await.Pause(ctx, confirmInterval); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"terminate machine %s: SkyPilot still lists it", name)}
		}
	}
}

// findTargetRecord finds the SkyPilot cluster of the target. It returns nil if there is none, and a Conflict if its
// machine is another one.
func (c *Cloud) findTargetRecord(ctx context.Context, target cloud.Target) (*clusterRecord, error) {
	found, err := c.findClusterRecord(ctx, target.Owner, target.Name, client.RefreshNone)
	if err != nil || found == nil {
		return nil, err
	}
	if !isOwnedBy(found.Labels, target.Owner) {
		c.log.Info("a SkyPilot cluster of another owner has the name of a machine to terminate; it is not changed",
			"machine",
			target.Name)
		return nil, nil
	}
	all, err := c.readMachines(ctx, []clusterRecord{*found})
	if err != nil {
		return nil, err
	}
	if target.ID == found.NameOnCloud { // an earlier version used that as the id if SkyPilot had none
		target.ID = ""
	}
	chosen, err := target.FindMachine(all)
	if err != nil || chosen == nil {
		return nil, err
	}
	return found, nil
}

// cancelTargetLaunches cancels launches of the target, and waits until the server has stopped working on them.
func (c *Cloud) cancelTargetLaunches(ctx context.Context, target cloud.Target) error {
	owner, name := target.Owner, target.Name
	for cancelled := map[string]bool{}; ; {
		active, err := c.listLaunchesOf(ctx, name)
		if err != nil {
			return err
		}
		active = slices.DeleteFunc(active, func(r client.Request) bool {
			return target.CheckIdentity(cloud.MachineFromLabels(name, launchLabels(r))) != nil
		})
		if len(active) == 0 {
			return nil
		}
		for _, r := range active {
			if cancelled[r.ID] {
				continue
			}
			if err := c.cancelRequests(ctx, installationIdentity(owner.Installation), r.ID); err != nil {
				return fmt.Errorf("terminate machine %s: %w", name, err)
			}
			cancelled[r.ID] = true
		}
		if err := await.Pause(ctx, roomPollInterval); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"terminate machine %s: its launch continues although it was cancelled", name)}
		}
	}
}

// takeClusterDown takes a cluster down. A cluster that does not exist is a success.
func (c *Cloud) takeClusterDown(ctx context.Context, owner cloud.Owner, name string) error {
	id, err := c.client.Submit(ctx, "/down",
		client.DownBody{RequestSettings: client.RequestSettings{Env: installationIdentity(
			owner.Installation).RequestEnv()},
			ClusterName: name})
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", name, err)
	}
	err = c.client.AwaitResult(ctx, id, nil)
	var failed *client.FailedRequest
	switch {
	case err == nil, client.IsNotFound(err), errors.Is(err, client.ErrCancelled):
		return nil // the next list decides
	case errors.As(err, &failed):
		if failed.Type == "ClusterDoesNotExist" {
			return nil
		}
		err := failure.ToCloudError("terminate machine "+name, failed, nil)
		var typed *cloud.Error
		if errors.As(err, &typed) && typed.Kind != cloud.Access {
			typed.Kind = cloud.Transient // the termination of a billed machine is always retried
		}
		return err
	}
	return fmt.Errorf("terminate machine %s: %w", name, err)
}
