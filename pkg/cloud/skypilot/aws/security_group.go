package aws

import (
	"context"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

// The deletion of a security group that is in use is retried after groupRetryInterval, then after twice that, up to
// maxGroupRetryInterval, for groupDeleteTimeout in all or until the caller's deadline. Machines that are being
// terminated use it for half a minute.
const (
	groupRetryInterval    = time.Second
	maxGroupRetryInterval = 10 * time.Second
	groupDeleteTimeout    = 2 * time.Minute
)

// DeleteSecurityGroup deletes a cluster's security group in every region. It returns a Transient error if the group is
// still in use in the end.
func (a *Account) DeleteSecurityGroup(ctx context.Context, owner cloud.Owner) error {
	group := task.SecurityGroupName(owner)
	if err := a.deleteGroup(ctx, group); err != nil {
		return toCloudError(fmt.Sprintf("delete the security group %s of cluster %s", group, owner.Cluster), err)
	}
	return nil
}

func (a *Account) deleteGroup(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, groupDeleteTimeout)
	defer cancel()
	var regions []string
	for wait := groupRetryInterval; ; wait = min(2*wait, maxGroupRetryInterval) {
		held, err := a.bridge.DeleteSecurityGroup(ctx, name, regions)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			return nil
		}
		regions = nil
		for _, h := range held {
			regions = append(regions, h.Region)
		}
		if await.Pause(ctx, wait) != nil {
			return &cloud.Error{Kind: cloud.Transient, Message: "it is still in use on AWS: " + held[0].Why}
		}
	}
}

// OpenPorts opens the Kubernetes API and the requested ports in the security group of a machine's cluster.
func (a *Account) OpenPorts(ctx context.Context, req cloud.LaunchRequest) error {
	const anywhere = "0.0.0.0/0"
	var rules []bridge.PortRule
	if !req.Placement.Tunnel {
		from := req.Spec.APICIDR
		if from == "" {
			from = anywhere
		}
		rules = append(rules, bridge.PortRule{Ports: task.APIPort, CIDR: from})
	}
	wanted, err := req.Spec.MachineRequest()
	if err != nil {
		return err
	}
	for _, r := range wanted.Ports {
		rules = append(rules, bridge.PortRule{Ports: r.String(), CIDR: anywhere})
	}
	if len(rules) == 0 {
		return nil
	}
	group := task.SecurityGroupName(req.Owner)
	if err := a.bridge.OpenPorts(ctx, req.Placement.Region, group, rules); err != nil {
		return fmt.Errorf("open ports of cluster %s in security group %s: %w", req.Owner.Cluster, group, err)
	}
	return nil
}
