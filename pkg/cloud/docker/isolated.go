package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

var _ cloud.Isolator = (*Cloud)(nil)

// isolatedScratch is a host that runs apart for a while, with its network. Its lifetime is longer than any use.
var isolatedScratch = engine.Purpose{Name: "isolated", Lock: "isolated.lock", Lifetime: 4 * time.Hour}

// nowhere is an address that no network has (RFC 5737). As the only DNS server, it keeps an engine from passing the
// queries of an isolated host on to the servers of its computer (CVE-2024-29018).
const nowhere = "192.0.2.1"

// RunIsolated implements cloud.Isolator. The host's network is an internal one: the engine drops what enters or leaves
// it. Only this computer itself can be reached, because skyd logs in from there.
func (c *Cloud) RunIsolated(ctx context.Context, req cloud.IsolatedRequest, progress func(string),
	use func(context.Context, cloud.Machine) error) error {
	has, err := c.readCapacity(ctx)
	if err != nil {
		return asIsolationError(ctx, err)
	}
	if most := memoryShare * has.memoryGiB; req.MemoryGiB > most {
		return &cloud.IsolationError{Cause: fmt.Errorf(
			"it needs %.1f GiB of memory, and may have %.1f of the %.1f GiB "+
				"that this computer has", req.MemoryGiB, most, has.memoryGiB)}
	}
	progress("waiting for its turn")
	unlock, err := c.engine.Lock(ctx, isolatedScratch.Lock)
	if err != nil {
		return err
	}
	defer unlock()
	c.removeIsolated(ctx)
	if err := c.EnsureImage(ctx, progress); err != nil {
		return asIsolationError(ctx, err)
	}
	defer c.removeIsolated(context.WithoutCancel(ctx))
	progress("booting")
	m, err := c.launchIsolated(ctx, req, has)
	if err != nil {
		return err
	}
	return use(ctx, m)
}

// asIsolationError is the error of an engine that does not answer, or refuses this user.
func asIsolationError(ctx context.Context, err error) error {
	if kind := cloud.KindOf(err); ctx.Err() == nil && (kind == cloud.Unreachable || kind == cloud.Access) {
		return &cloud.IsolationError{Cause: err}
	}
	return err
}

func (c *Cloud) launchIsolated(ctx context.Context, req cloud.IsolatedRequest, has engineCapacity) (cloud.Machine,
	error) {
	labels := c.engine.ScratchLabels(isolatedScratch)
	created, err := c.engine.API.NetworkCreate(ctx, fmt.Sprintf("skyctl-isolated-%.12s", req.Owner.Installation),
		network.CreateOptions{Driver: "bridge", Internal: true, Labels: labels})
	if err != nil {
		return cloud.Machine{}, c.engine.WrapError("create a network without a way out", err)
	}
	id, err := c.createIsolated(ctx, req, has, created.ID)
	if err != nil {
		return cloud.Machine{}, err
	}
	launch := cloud.LaunchRequest{Name: req.Name, AuthorizedKey: req.AuthorizedKey, HostKey: req.HostKey}
	if err := c.startNewContainer(ctx, id, launch); err != nil {
		return cloud.Machine{}, err
	}
	return c.awaitHostSSH(ctx, req.Name, id)
}

func (c *Cloud) createIsolated(ctx context.Context, req cloud.IsolatedRequest, has engineCapacity,
	networkID string) (string, error) {
	privileged, err := c.canRunPrivileged(ctx, c.ImageName())
	if err != nil {
		return "", err
	}
	c.raiseKernelLimits()
	launch := cloud.LaunchRequest{Name: req.Name, HostKey: req.HostKey}
	launch.Placement.CPUs, launch.Placement.MemoryGiB = float64(min(defaultCPUs, has.cpus)), req.MemoryGiB
	hostKey, err := publicHostKey(launch)
	if err != nil {
		return "", err
	}
	labels := c.engine.ScratchLabels(isolatedScratch)
	labels[labelHostKey], labels[cloud.LabelClusterUID] = hostKey, req.Owner.ClusterUID
	config := c.newHostConfig(launch, networkID, privileged)
	isolateHost(config, req, labels)
	made, err := c.engine.API.ContainerCreate(ctx, &container.Config{
		Image: c.ImageName(), Hostname: req.Name, Labels: labels, Env: []string{"container=docker"},
		StopSignal: "SIGRTMIN+3", Tty: true,
	}, config, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{networkID: {}}}, nil,
		req.Name)
	if err != nil {
		return "", c.engine.WrapError("create machine "+req.Name, err)
	}
	return made.ID, nil
}

// isolateHost gives a host directories in memory, in place of the volumes of other hosts, and no DNS.
func isolateHost(config *container.HostConfig, req cloud.IsolatedRequest, labels map[string]string) {
	config.DNS = []string{nowhere}
	config.Mounts = deleteVolumes(config.Mounts)
	config.Tmpfs["/tmp"] = "exec,mode=1777"
	for _, dir := range req.MemoryDirs {
		config.Tmpfs[dir] = "exec,mode=755"
	}
	for _, dir := range req.DiskDirs {
		config.Mounts = append(config.Mounts, mount.Mount{Type: mount.TypeVolume, Target: dir,
			VolumeOptions: &mount.VolumeOptions{Labels: labels}})
	}
}

func deleteVolumes(mounts []mount.Mount) []mount.Mount {
	var kept []mount.Mount
	for _, m := range mounts {
		if m.Type != mount.TypeVolume {
			kept = append(kept, m)
		}
	}
	return kept
}

// RemoveLeftIsolated implements cloud.Isolator.
func (c *Cloud) RemoveLeftIsolated(ctx context.Context) {
	if unlock, free := c.engine.TryLock(isolatedScratch.Lock); free { // the holder removes them itself
		c.removeIsolated(ctx)
		unlock()
	}
}

// isolatedRemovalTimeout is how long the removal of isolated hosts may take.
const isolatedRemovalTimeout = time.Minute

// removeIsolated removes isolated hosts with their networks and volumes. The caller holds their lock, so none is in
// use. What cannot be removed now is removed by the next call.
func (c *Cloud) removeIsolated(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, isolatedRemovalTimeout)
	defer cancel()
	c.engine.RemoveScratch(ctx, isolatedScratch)
	if err := errors.Join(c.removeIsolatedNetworks(ctx), c.removeIsolatedVolumes(ctx)); err != nil {
		c.engine.Log.Warn("could not remove all that an isolated host used", "error", err)
	}
}

func (c *Cloud) removeIsolatedNetworks(ctx context.Context) error {
	networks, err := c.engine.API.NetworkList(ctx, network.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", engine.LabelScratch+"="+isolatedScratch.Name))})
	for _, n := range networks {
		if !c.engine.IsAbandonedScratch(isolatedScratch, n.Labels, n.Created) {
			continue
		}
		if removed := c.engine.API.NetworkRemove(ctx, n.ID); removed != nil && !errdefs.IsNotFound(removed) {
			err = errors.Join(err, removed)
		}
	}
	return err
}

// removeIsolatedVolumes removes the volumes of hosts whose containers were removed by hand.
func (c *Cloud) removeIsolatedVolumes(ctx context.Context) error {
	found, err := c.engine.API.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(
		filters.Arg("dangling", "true"), filters.Arg("label", engine.LabelScratch+"="+isolatedScratch.Name))})
	for _, v := range found.Volumes {
		created, _ := time.Parse(time.RFC3339, v.CreatedAt)
		if !c.engine.IsAbandonedScratch(isolatedScratch, v.Labels, created) {
			continue
		}
		removed := c.engine.API.VolumeRemove(ctx, v.Name, false)
		if removed != nil && !errdefs.IsNotFound(removed) && !errdefs.IsConflict(removed) {
			err = errors.Join(err, removed)
		}
	}
	return err
}
