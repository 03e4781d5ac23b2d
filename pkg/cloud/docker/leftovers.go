package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostimage"
)

// removeLeftovers removes what interrupted steps of an installation left, and the volumes of the owner's cluster, whose
// hosts are gone. The caller holds the network's lock.
func (c *Cloud) removeLeftovers(ctx context.Context, owner cloud.Owner) error {
	c.engine.RemoveFreeScratch(ctx, probeScratch, hostimage.Scratch)
	c.RemoveLeftIsolated(ctx)
	if err := c.network.RemoveRanges(ctx, owner); err != nil {
		return err
	}
	return c.removeDanglingVolumes(ctx, owner, "", "")
}

// listDanglingVolumes lists the volumes of an owner's hosts whose containers are gone. If a machine or an incarnation
// is given, it lists only the volumes of that one.
func (c *Cloud) listDanglingVolumes(ctx context.Context, owner cloud.Owner, machine,
	incarnation string) ([]*volume.Volume, error) {
	match := filters.NewArgs(filters.Arg("dangling", "true"))
	for label, value := range map[string]string{
		cloud.LabelInstallation: owner.Installation, cloud.LabelClusterUID: owner.ClusterUID, labelMachine: machine,
		cloud.LabelIncarnation: incarnation,
	} {
		if value != "" {
			match.Add("label", label+"="+value)
		}
	}
	found, err := c.engine.API.VolumeList(ctx, volume.ListOptions{Filters: match})
	if err != nil {
		return nil, c.engine.WrapError("look for leftover volumes", err)
	}
	return found.Volumes, nil
}

// removeDanglingVolumes removes the volumes of a cluster's hosts, or of one of them, whose containers were removed by
// hand. A volume that a container uses stays.
func (c *Cloud) removeDanglingVolumes(ctx context.Context, owner cloud.Owner, machine, incarnation string) error {
	if owner.Installation == "" || owner.ClusterUID == "" {
		return nil
	}
	left, err := c.listDanglingVolumes(ctx, owner, machine, incarnation)
	if err != nil {
		return err
	}
	for _, v := range left {
		err := c.engine.API.VolumeRemove(ctx, v.Name, false)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return c.engine.WrapError(
				fmt.Sprintf("remove volume %.12s of machine %s", v.Name, v.Labels[labelMachine]), err)
		}
	}
	return nil
}

// describeLeftovers returns a sentence for each thing that interrupted steps or hosts removed by hand have left, and
// says what removes it.
func (c *Cloud) describeLeftovers(ctx context.Context) ([]string, error) {
	var described []string
	if c.opts.Installation != nil {
		id, err := c.opts.Installation(ctx)
		if err != nil {
			return nil, fmt.Errorf("find out which installation's leftovers to look for: %w", err)
		}
		owner := cloud.Owner{Installation: id}
		if described, err = c.network.DescribeRanges(ctx, owner); err != nil {
			return nil, err
		}
		volumes, err := c.listDanglingVolumes(ctx, owner, "", "")
		if err != nil {
			return nil, err
		}
		described = append(described, describeVolumes(volumes)...)
	}
	containers, err := c.engine.DescribeScratch(ctx, probeScratch, hostimage.Scratch, isolatedScratch)
	if err != nil {
		return nil, err
	}
	described = append(described, containers...)
	return append(described, c.image.DescribeLeftovers()...), nil
}

// describeVolumes names the machines whose containers were removed by hand.
func describeVolumes(left []*volume.Volume) []string {
	byMachine := map[string]int{}
	for _, v := range left {
		byMachine[v.Labels[labelMachine]]++
	}
	var described []string
	for _, name := range slices.Sorted(maps.Keys(byMachine)) {
		described = append(described, fmt.Sprintf("left over: %d volumes of machine %s, whose container is gone; they "+
			"are removed with the machine or its cluster, or by "+
			"docker volume rm $(docker volume ls -q -f dangling=true -f label=%s=%s)", byMachine[name], name,
			labelMachine, name))
	}
	return described
}

// reportLeftovers describes leftovers for a check of the cloud. If it cannot look for them, it says so.
func (c *Cloud) reportLeftovers(ctx context.Context) []string {
	described, err := c.describeLeftovers(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		described = append(described, formatErrorLine(err))
	}
	return described
}
