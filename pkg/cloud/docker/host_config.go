package docker

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	// sshUID is the recipe's.
	sshUID = 1000

	gib = 1 << 30
	mib = 1 << 20
)

// volumePaths lie outside the container's own layered file system: overlay does not stack on overlay, and etcd wants a
// disk.
var volumePaths = []string{"/var/lib/rancher", "/var/lib/kubelet", "/var/lib/containerd"}

// newHostConfig is what a host may and how much of it.
func (c *Cloud) newHostConfig(req cloud.LaunchRequest, networkID string, privileged bool) *container.HostConfig {
	memory := int64(req.Placement.MemoryGiB*gib) / mib * mib
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(networkID),
		// A machine that stops stays stopped, so that it shows, and its address does not change behind our back.
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     newLogConfig(),
		CgroupnsMode:  container.CgroupnsModePrivate,
		Tmpfs:         map[string]string{"/run": "exec,mode=755", "/run/lock": ""},
		Resources: container.Resources{
			NanoCPUs: int64(req.Placement.CPUs * 1e9),
			Memory:   memory, MemorySwap: memory, // as much as the memory: no swap
		},
	}
	for _, v := range volumePaths {
		h.Mounts = append(h.Mounts, mount.Mount{
			Type: mount.TypeVolume, Target: v, VolumeOptions: &mount.VolumeOptions{Labels: volumeLabels(req)},
		})
	}
	const modules = "/lib/modules" // for the kernel's netfilter and overlay modules, loaded on demand
	if _, err := os.Stat(modules); err == nil && c.isEngineLocal() {
		h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeBind, Source: modules, Target: modules, ReadOnly: true})
	}
	if privileged {
		h.Privileged = true
		return h
	}
	h.CapAdd = []string{"ALL"}
	h.CapDrop = []string{"SYS_RESOURCE"}
	h.SecurityOpt = []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"}
	h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	h.DeviceCgroupRules = []string{"a *:* rwm"}
	return h
}

// privilege is what was found out about the engine: whether it can run a container with all privileges. A machine that
// is itself confined may lack some, and an engine may forbid it.
type privilege struct {
	privilegeMu    sync.Mutex
	privilegeKnown bool
	privilegeHeld  bool
}

// canRunPrivileged tries, once, whether a privileged container starts.
func (c *Cloud) canRunPrivileged(ctx context.Context, image string) (bool, error) {
	c.privilegeMu.Lock()
	defer c.privilegeMu.Unlock()
	if c.privilegeKnown {
		return c.privilegeHeld, nil
	}
	unlock, err := c.acquireFileLock(ctx, probeLock)
	if err != nil {
		return false, err
	}
	defer unlock()
	c.removeScratchContainers(ctx, scratchProbe)
	refusal, err := c.tryPrivilegedContainer(ctx, image)
	if err != nil {
		return false, c.wrapEngineError("find out whether privileged containers start", err)
	}
	if refusal != nil {
		c.log.Info("privileged containers do not start here: hosts get single capabilities instead", "reason", refusal)
	}
	c.privilegeKnown, c.privilegeHeld = true, refusal == nil
	return c.privilegeHeld, nil
}

// privilegeRefusals are the words in which an engine says that a container can't have all privileges. It has no code
// for that: what the runtime met comes back as an internal error, just as a full disk does.
var privilegeRefusals = []string{"not permitted", "permission denied", "capabilit", "unable to apply caps",
	"invalid argument", "privileged"}

// isPrivilegeRefusal says whether an error means that privileged containers do not start on this engine, now and later.
func isPrivilegeRefusal(err error) bool {
	return errdefs.IsPermissionDenied(err) || errdefs.IsInvalidArgument(err) ||
		slices.ContainsFunc(privilegeRefusals,
			func(words string) bool { return strings.Contains(strings.ToLower(err.Error()), words) })
}

// tryPrivilegedContainer starts a privileged container that does nothing; a refusal is the engine's reason why it
// can't. Any other error says nothing of privileges, and is not to be remembered as if it did.
func (c *Cloud) tryPrivilegedContainer(ctx context.Context, image string) (refusal, err error) {
	made, err := c.api.ContainerCreate(ctx,
		&container.Config{Image: image, Entrypoint: []string{"/bin/true"}, Labels: c.scratchLabels(scratchProbe)},
		&container.HostConfig{Privileged: true, NetworkMode: "none", LogConfig: newLogConfig(),
			CgroupnsMode: container.CgroupnsModePrivate}, nil, nil, "")
	if errdefs.IsPermissionDenied(err) || errdefs.IsInvalidArgument(err) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	defer c.discardContainer(ctx, made.ID)
	err = c.api.ContainerStart(ctx, made.ID, container.StartOptions{})
	if err == nil || ctx.Err() == nil && !client.IsErrConnectionFailed(err) && isPrivilegeRefusal(err) {
		return err, nil
	}
	return nil, err
}

// discardContainer removes a container of ours that nobody is to find again, even when ctx has ended.
func (c *Cloud) discardContainer(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := c.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		c.log.Warn("could not remove a container", "id", id, "error", err)
	}
}
