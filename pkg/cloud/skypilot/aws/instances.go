// Package aws manages machines and security groups in an AWS account without SkyPilot's records: machines that SkyPilot
// does not know, copies of machines, and what belongs to a cluster as a whole.
package aws

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
)

// Name is the name of AWS in specs.
const Name = "aws"

// Account is the AWS account whose credentials the bridge finds. The caller makes sure that it is the one that machines
// are launched in.
type Account struct {
	bridge *bridge.Bridge
	within time.Duration // how long AWS may take to list or terminate instances
	log    *slog.Logger
}

// NewAccount returns the account.
func NewAccount(b *bridge.Bridge, within time.Duration, log *slog.Logger) *Account {
	return &Account{bridge: b, within: within, log: log}
}

// machineName is the machine name in an instance's tags, or empty if they contain none.
func machineName(i bridge.Instance) string {
	index, err := strconv.Atoi(i.Tags[cloud.LabelIndex])
	if err != nil {
		return ""
	}
	return api.MachineName(i.Tags[cloud.LabelCluster], index)
}

// newMachine is an instance as a machine.
func newMachine(i bridge.Instance) cloud.Machine {
	m := cloud.MachineFromLabels(machineName(i), i.Tags)
	m.ID, m.Address, m.PrivateAddress, m.SSHPort, m.Cloud = i.ID, i.Address, i.PrivateAddress, 22, Name
	m.NoStart = true // SkyPilot does not know it
	switch i.State {
	case "running":
		m.State = cloud.StateRunning
	case "stopping", "stopped":
		m.State = cloud.StateStopped
	}
	return m
}

// ownerTags are the tags of all machines of an owner.
func ownerTags(owner cloud.Owner) map[string]string {
	tags := map[string]string{cloud.LabelInstallation: owner.Installation}
	if owner.ClusterUID != "" {
		tags[cloud.LabelClusterUID] = owner.ClusterUID
	}
	return tags
}

// listInstances lists the instances with all of these tags, in all regions.
func (a *Account) listInstances(ctx context.Context, tags map[string]string) ([]bridge.Instance, error) {
	all, err := a.bridge.ListInstances(ctx, a.within, tags)
	if err != nil {
		return nil, toCloudError("list the machines on AWS", err)
	}
	return all, nil
}

// Terminate terminates the target, if AWS lists it, by the id of the instance. It returns once AWS no longer lists it.
func (a *Account) Terminate(ctx context.Context, target cloud.Target) error {
	for {
		all, err := a.listInstances(ctx, ownerTags(target.Owner))
		if err != nil {
			return err
		}
		region, left := "", []string(nil)
		for _, i := range all {
			m := newMachine(i)
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
		a.log.Warn("terminating a machine on AWS without SkyPilot", "machine", target.Name, "instances", left)
		if err := a.bridge.TerminateInstances(ctx, a.within, region, left); err != nil {
			return toCloudError("terminate machine "+target.Name, err)
		}
		if err := await.Pause(ctx, time.Second); err != nil {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"terminate machine %s: AWS still lists %v", target.Name, left)}
		}
	}
}

// toCloudError gives an error of AWS its kind.
func toCloudError(doing string, err error) error {
	failed, ok := bridge.AsError(err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return failure.ToCloudError(doing, &client.FailedRequest{Type: "Error", Message: failed.Message}, nil)
}
