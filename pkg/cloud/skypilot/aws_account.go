package skypilot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/aws"
)

var _ cloud.LifetimeLister = (*Cloud)(nil)

// canQueryAWS reports whether skyctl can ask the AWS account itself. The account of a remote server belongs to that
// server.
func (c *Cloud) canQueryAWS(ctx context.Context) (bool, error) {
	if c.server == nil {
		return false, nil
	}
	enabled, err := c.ListEnabledClouds(ctx)
	return slices.Contains(enabled, aws.Name), err
}

// mergeStrays adds the owner's machines on AWS that SkyPilot does not list.
func (c *Cloud) mergeStrays(ctx context.Context, owner cloud.Owner, records []clusterRecord,
	listed []cloud.Machine) ([]cloud.Machine, error) {
	if possible, err := c.canQueryAWS(ctx); err != nil || !possible {
		return listed, err
	}
	known := make([]aws.Record, len(records))
	for i, r := range records {
		known[i] = toAWSRecord(r)
	}
	return c.aws.MergeStrays(ctx, owner, known, listed)
}

func toAWSRecord(r clusterRecord) aws.Record {
	return aws.Record{Name: r.Name, Cloud: r.CloudName(), NameOnCloud: r.NameOnCloud}
}

// findCopies returns the ids of the copies of a machine on AWS, and checks the machine's own tags. It returns none if
// the machine is elsewhere, or the account cannot be asked.
func (c *Cloud) findCopies(ctx context.Context, target cloud.Target, found *clusterRecord) ([]string, error) {
	r := toAWSRecord(*found)
	if r.Cloud != aws.Name || r.NameOnCloud == "" || target.ID == "" {
		return nil, nil
	}
	if possible, err := c.canQueryAWS(ctx); err != nil || !possible {
		return nil, err
	}
	return c.aws.FindCopies(ctx, target, r)
}

// terminateBesideCopies terminates the target by the id of its instance if SkyPilot would terminate copies with it. It
// reports whether it did so. SkyPilot's record then stands for the copies, which are listed as such.
func (c *Cloud) terminateBesideCopies(ctx context.Context, target cloud.Target, found *clusterRecord) (done bool,
	err error) {
	if target.ID == found.NameOnCloud {
		return false, nil
	}
	copies, err := c.findCopies(ctx, target, found)
	if err != nil || len(copies) == 0 {
		return false, err
	}
	c.log.Warn("copies of a machine have its tags: the machine is terminated by its id, the copies are not changed",
		"machine", target.Name, "id", target.ID, "copies", copies)
	return true, c.aws.Terminate(ctx, target)
}

// checkNoCopies returns a Conflict if SkyPilot could start a copy instead of the target.
func (c *Cloud) checkNoCopies(ctx context.Context, target cloud.Target, found *clusterRecord) error {
	copies, err := c.findCopies(ctx, target, found)
	if err == nil && len(copies) > 0 {
		err = &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
			"machine %s is not started: %s on AWS has the same tags, and SkyPilot may start it instead; "+
				"remove its tag %s, or terminate it",
			target.Name, strings.Join(copies, ", "), aws.ClusterNameTag)}
	}
	return err
}

// ListLifetimes returns the lifetimes of machines on AWS, if skyctl can ask the account.
func (c *Cloud) ListLifetimes(ctx context.Context, owner cloud.Owner) (cloud.Lifetimes, error) {
	if err := c.ensureServerReady(ctx); err != nil {
		return cloud.Lifetimes{}, err
	}
	if possible, err := c.canQueryAWS(ctx); err != nil || !possible {
		return cloud.Lifetimes{}, err
	}
	return c.aws.ListLifetimes(ctx, owner)
}

// RemoveClusterResources deletes the security group of a cluster on AWS. On other clouds nothing is created for a
// cluster as a whole.
func (c *Cloud) RemoveClusterResources(ctx context.Context, owner cloud.Owner) error {
	if owner.ClusterUID == "" {
		return nil
	}
	enabled, err := c.ListEnabledClouds(ctx)
	if err != nil || !slices.Contains(enabled, aws.Name) {
		return err
	}
	err = c.aws.DeleteSecurityGroup(ctx, owner)
	if err != nil && c.server == nil { // the account is the server's and may be closed to us
		c.log.Warn("the security group of a cluster is left in the account of the SkyPilot API server", "cluster",
			owner.Cluster, "error", err)
		return nil
	}
	return err
}
