package skypilot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
)

// awsName is the name of AWS in specs.
const awsName = "aws"

// instanceName is the machine name that an instance's labels make, or empty if they make none.
func instanceName(i bridge.Instance) string {
	index, err := strconv.Atoi(i.Tags[cloud.LabelIndex])
	if err != nil {
		return ""
	}
	return api.MachineName(i.Tags[cloud.LabelCluster], index)
}

// machineFromInstance is an instance as a machine.
func machineFromInstance(i bridge.Instance) cloud.Machine {
	m := machineFromLabels(instanceName(i), i.Tags)
	m.ID, m.Address, m.PrivateAddress, m.SSHPort, m.Cloud = i.ID, i.Address, i.PrivateAddress, 22, awsName
	m.NoStart = true // SkyPilot does not know it
	switch i.State {
	case "running":
		m.State = cloud.StateRunning
	case "stopping", "stopped":
		m.State = cloud.StateStopped
	}
	return m
}

// canQueryAWS says whether AWS can be asked from here: an account of a remote server is the server's.
func (c *Cloud) canQueryAWS(ctx context.Context) (bool, error) {
	if c.server == nil {
		return false, nil
	}
	enabled, err := c.ListEnabledClouds(ctx)
	return slices.Contains(enabled, awsName), err
}

// mergeStrayMachines adds to the listed machines strays, the owner's on AWS that are not among them: SkyPilot's state
// was lost, it failed to clean up after itself, or somebody copied a machine. They bill all the same. It takes out what
// others outlived (see outlived).
func (c *Cloud) mergeStrayMachines(ctx context.Context, owner cloud.Owner, records []clusterRecord,
	listed []cloud.Machine) ([]cloud.Machine, error) {
	there, err := c.canQueryAWS(ctx)
	if err != nil || !there {
		return listed, err
	}
	all, err := c.listInstancesOf(ctx, owner)
	if err != nil {
		return listed, err
	}
	more := mergeInstances(listed, all)
	for _, r := range records {
		gone, err := c.isOutlivedByCopies(ctx, r, listed, all)
		if err != nil {
			return append(listed, more...), err
		}
		if gone {
			listed = slices.DeleteFunc(listed, func(m cloud.Machine) bool { return m.Name == r.Name })
		}
	}
	return append(listed, more...), nil
}

// ownerTags are the tags that all machines of an owner have.
func ownerTags(owner cloud.Owner) map[string]string {
	tags := map[string]string{cloud.LabelInstallation: owner.Installation}
	if owner.ClusterUID != "" {
		tags[cloud.LabelClusterUID] = owner.ClusterUID
	}
	return tags
}

// listInstancesOf are the owner's on AWS, in all regions.
func (c *Cloud) listInstancesOf(ctx context.Context, owner cloud.Owner) ([]bridge.Instance, error) {
	return c.listInstancesByTags(ctx, ownerTags(owner))
}

// listInstancesByTags are those on AWS with all of these tags, in all regions.
func (c *Cloud) listInstancesByTags(ctx context.Context, tags map[string]string) ([]bridge.Instance, error) {
	all, err := c.bridge.ListInstances(ctx, c.opts.CloudWithin, tags)
	if err != nil {
		return nil, toAWSError("list the machines on AWS", err)
	}
	return all, nil
}

// terminateForgotten ends a target that SkyPilot does not know, if it is there. Where nobody can say whether it is,
// that is an error.
func (c *Cloud) terminateForgotten(ctx context.Context, target cloud.Target) error {
	if c.server != nil && (target.Cloud == awsName || target.Cloud == "") {
		closed, err := c.enableKnownClouds(ctx, cloud.KnownMachines{Clouds: []string{target.Cloud}})
		for _, s := range closed {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, s.why))
		}
		if err != nil {
			return fmt.Errorf("terminate machine %s: %w", target.Name, err)
		}
		if there, err := c.canQueryAWS(ctx); err != nil || !there {
			return err
		}
		return c.terminateInstance(ctx, target)
	}
	if target.ID == "" {
		return nil // it was never up
	}
	known := []cloud.KnownMachine{{Cloud: target.Cloud, Name: target.Name, Incarnation: target.Incarnation}}
	forgotten, err := c.findForgottenMachines(ctx, target.Owner, known, nil)
	for _, s := range forgotten {
		err = errors.Join(err, fmt.Errorf("%s: %w", s.name, s.why))
	}
	if err != nil {
		return fmt.Errorf("terminate machine %s: %w", target.Name, err)
	}
	return nil
}

// terminateInstance ends the target where AWS lists it, by the id of the instance.
func (c *Cloud) terminateInstance(ctx context.Context, target cloud.Target) error {
	for {
		all, err := c.listInstancesOf(ctx, target.Owner)
		if err != nil {
			return err
		}
		region, left := "", []string(nil)
		for _, i := range all {
			m := machineFromInstance(i)
			switch {
			case target.ID != "" && m.ID != target.ID, m.Name != target.Name, region != "" && i.Region != region:
			case target.CheckIdentity(m) == nil:
				left, region = append(left, i.ID), i.Region
			case target.ID != "":
				return target.CheckIdentity(m)
			}
		}
		if len(left) == 0 {
			return nil
		}
		c.log.Warn("a machine that SkyPilot has forgotten is terminated", "machine", target.Name, "instances", left)
		if err := c.bridge.TerminateInstances(ctx, c.opts.CloudWithin, region, left); err != nil {
			return toAWSError("terminate machine "+target.Name, err)
		}
		if err := await.Pause(ctx, time.Second); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"terminate machine %s: AWS still lists %v", target.Name, left)}
		}
	}
}

// toAWSError gives an error of AWS itself its kind.
func toAWSError(doing string, err error) error {
	failed, ok := bridge.AsError(err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return failure.ToCloudError(doing, &client.FailedRequest{Type: "Error", Message: failed.Message}, nil)
}
