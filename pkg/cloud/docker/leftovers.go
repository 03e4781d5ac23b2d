package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// What a process makes for a moment, it may leave behind: it can be killed at any instant. Each such thing carries a
// label that says what it is for, and whoever holds the lock under which that is made knows that those which are there
// have no owner.

// What scratch containers and networks are for.
const (
	scratchProbe = "probe"
	scratchBuild = "build"
	scratchRange = "range"
)

// scratchLifetime is longer than any scratch container lives: older ones are nobody's, whoever made them.
var scratchLifetime = map[string]time.Duration{scratchProbe: time.Minute, scratchBuild: time.Hour}

// scratchLabels are the labels of something that lives for moments.
func (c *Cloud) scratchLabels(purpose string) map[string]string {
	return map[string]string{labelScratch: purpose, labelScratchBy: c.lockDomain()}
}

// lockDomain names those who wait for the same locks: the user's processes on this machine.
func (c *Cloud) lockDomain() string {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		host, _ := os.Hostname()
		machine = []byte(host)
	}
	dir, err := filepath.Abs(c.opts.ImageCacheDir)
	if err != nil {
		dir = c.opts.ImageCacheDir
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(machine)) + " " + dir))
	return hex.EncodeToString(sum[:8])
}

// removeScratchContainers removes the containers for a purpose that a killed process left. The caller holds the lock
// under which they are made, so that those of this user are nobody's any more; those of others are, once they are older
// than any lives.
func (c *Cloud) removeScratchContainers(ctx context.Context, purpose string) {
	left, err := c.listContainers(ctx, filters.Arg("label", labelScratch+"="+purpose))
	if err != nil {
		return // it is only tidying: whoever called sees for himself that the engine does not answer
	}
	for _, s := range left {
		if s.Labels[labelScratchBy] == c.lockDomain() ||
			time.Since(time.Unix(s.Created, 0)) > scratchLifetime[purpose] {
			c.discardContainer(ctx, s.ID)
		}
	}
}

// removeLeftovers removes what interrupted steps left of an installation, and the volumes of the owner's cluster, whose
// hosts are gone. The network has to be held.
func (c *Cloud) removeLeftovers(ctx context.Context, owner cloud.Owner) error {
	for purpose, lock := range map[string]string{scratchProbe: probeLock, scratchBuild: imageLock} {
		if unlock, free := c.tryFileLock(lock); free { // who holds it removes them himself
			c.removeScratchContainers(ctx, purpose)
			unlock()
		}
	}
	if err := c.removeRangeNetworks(ctx, owner); err != nil {
		return err
	}
	return c.removeDanglingVolumes(ctx, owner, "", "")
}

// listRangeNetworks are the installation's networks that were made for the choice of addresses. Versions before gave
// them no label of their own.
func (c *Cloud) listRangeNetworks(ctx context.Context, owner cloud.Owner) ([]network.Summary, error) {
	all, err := c.api.NetworkList(ctx, network.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation)),
	})
	if err != nil {
		return nil, c.wrapEngineError("look for networks that were left", err)
	}
	return slices.DeleteFunc(all, func(n network.Summary) bool {
		return n.Labels[labelScratch] != scratchRange && n.Name != c.networkName(owner)+rangeSuffix
	}), nil
}

// removeRangeNetworks removes the networks that were made for the choice of addresses and left. The network has to be
// held: all that are there are nobody's. One that can't be removed is in nobody's way.
func (c *Cloud) removeRangeNetworks(ctx context.Context, owner cloud.Owner) error {
	left, err := c.listRangeNetworks(ctx, owner)
	if err != nil {
		return err
	}
	for _, n := range left {
		if err := c.api.NetworkRemove(ctx, n.ID); err != nil && !errdefs.IsNotFound(err) {
			c.log.Warn("could not remove a network that an interrupted launch left", "network", n.Name, "id", n.ID,
				"error", err)
		}
	}
	return ctx.Err()
}

// listDanglingVolumes are the volumes of an owner's hosts that no container has any more; those of one machine, and one
// incarnation, where these are named.
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
	found, err := c.api.VolumeList(ctx, volume.ListOptions{Filters: match})
	if err != nil {
		return nil, c.wrapEngineError("look for volumes that were left", err)
	}
	return found.Volumes, nil
}

// removeDanglingVolumes removes the volumes that a cluster's hosts left, or one of them where it is named: somebody has
// removed their containers by hand. A volume that a container has is in use, and stays.
func (c *Cloud) removeDanglingVolumes(ctx context.Context, owner cloud.Owner, machine, incarnation string) error {
	if owner.Installation == "" || owner.ClusterUID == "" {
		return nil
	}
	left, err := c.listDanglingVolumes(ctx, owner, machine, incarnation)
	if err != nil {
		return err
	}
	for _, v := range left {
		err := c.api.VolumeRemove(ctx, v.Name, false)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return c.wrapEngineError(fmt.Sprintf("remove volume %.12s of machine %s", v.Name, v.Labels[labelMachine]),
				err)
		}
	}
	return nil
}

// Names of files that a build of the host image makes for itself alone.
const (
	partialPattern = ".host-*.partial"
	treePattern    = ".rootfs-*"
)

// removeBuildFiles removes what a build that was killed left beside the image's file. The lock of the image has to be
// held.
func (c *Cloud) removeBuildFiles() {
	for _, path := range c.listBuildFiles() {
		if err := os.RemoveAll(path); err != nil {
			c.log.Warn("could not remove what a build of the host image left", "path", path, "error", err)
		}
	}
}

func (c *Cloud) listBuildFiles() []string {
	var all []string
	for _, pattern := range []string{partialPattern, treePattern} {
		found, _ := filepath.Glob(filepath.Join(c.opts.ImageCacheDir, pattern)) // the patterns are right
		all = append(all, found...)
	}
	return all
}

// describeLeftovers say, in words for a person, what interrupted steps and hosts removed by hand have left, and what
// becomes of it.
func (c *Cloud) describeLeftovers(ctx context.Context) ([]string, error) {
	var said []string
	if c.opts.Installation != nil {
		id, err := c.opts.Installation(ctx)
		if err != nil {
			return nil, fmt.Errorf("find out whose leftovers to look for: %w", err)
		}
		owner := cloud.Owner{Installation: id}
		left, err := c.listRangeNetworks(ctx, owner)
		if err != nil {
			return nil, err
		}
		for _, n := range left {
			said = append(said, fmt.Sprintf("left over: network %s of an interrupted launch; the next create or "+
				"delete removes it", n.Name))
		}
		volumes, err := c.listDanglingVolumes(ctx, owner, "", "")
		if err != nil {
			return nil, err
		}
		said = append(said, describeVolumes(volumes)...)
	}
	containers, err := c.listContainers(ctx, filters.Arg("label", labelScratch))
	if err != nil {
		return nil, c.wrapEngineError("look for containers that were left", err)
	}
	said = append(said, c.describeScratchContainers(containers)...)
	if unlock, free := c.tryFileLock(imageLock); free {
		defer unlock()
		for _, path := range c.listBuildFiles() {
			said = append(said, fmt.Sprintf("left over: %s of an interrupted build of the host image; the next "+
				"build removes it", path))
		}
	}
	return said, nil
}

// describeVolumes name the machines whose containers were removed by hand.
func describeVolumes(left []*volume.Volume) []string {
	byMachine := map[string]int{}
	for _, v := range left {
		byMachine[v.Labels[labelMachine]]++
	}
	var said []string
	for _, name := range slices.Sorted(maps.Keys(byMachine)) {
		said = append(said, fmt.Sprintf("left over: %d volumes of machine %s, whose container is gone; they are "+
			"removed with the machine or its cluster, or "+
			"by docker volume rm $(docker volume ls -q -f dangling=true -f label=%s=%s)", byMachine[name], name,
			labelMachine, name))
	}
	return said
}

// describeScratchContainers name the scratch containers that have no owner any more.
func (c *Cloud) describeScratchContainers(found []container.Summary) []string {
	locks := map[string]string{scratchProbe: probeLock, scratchBuild: imageLock}
	var said []string
	for _, s := range found {
		purpose := s.Labels[labelScratch]
		if s.Labels[labelScratchBy] == c.lockDomain() {
			unlock, free := c.tryFileLock(locks[purpose])
			if !free {
				continue // it is in use
			}
			unlock()
		} else if time.Since(time.Unix(s.Created, 0)) <= scratchLifetime[purpose] {
			continue
		}
		said = append(said, fmt.Sprintf("left over: container %.12s (%s) of an interrupted step; the next one of "+
			"its kind removes it", s.ID, purpose))
	}
	return said
}

// reportLeftovers is leftovers for a person who asks how the cloud is: that they can't be looked for is said as well.
func (c *Cloud) reportLeftovers(ctx context.Context) []string {
	said, err := c.describeLeftovers(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		said = append(said, formatErrorLine(err))
	}
	return said
}
