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
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

// volumePaths are outside the container's own layered file system: overlay does not work on overlay, and etcd needs a
// disk.
var volumePaths = []string{"/var/lib/rancher", "/var/lib/kubelet", "/var/lib/containerd"}

// probeScratch is the container that tries whether privileged containers start.
var probeScratch = engine.Purpose{Name: "probe", Lock: "probe.lock", Lifetime: time.Minute}

// newHostConfig is the privileges and limits of a host.
func (c *Cloud) newHostConfig(req cloud.LaunchRequest, networkID string, privileged bool) *container.HostConfig {
	memory := int64(req.Placement.MemoryGiB*engine.GiB) / engine.MiB * engine.MiB
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(networkID),
		// A machine that stops stays stopped, so that it is noticed and does not change its address.
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     engine.NewLogConfig(),
		CgroupnsMode:  container.CgroupnsModePrivate,
		Tmpfs:         map[string]string{"/run": "exec,mode=755", "/run/lock": ""},
		Resources: container.Resources{
			NanoCPUs: int64(req.Placement.CPUs * 1e9),
			Memory:   memory, MemorySwap: memory, // equal: no swap
		},
	}
	for _, v := range volumePaths {
		h.Mounts = append(h.Mounts, mount.Mount{
			Type: mount.TypeVolume, Target: v, VolumeOptions: &mount.VolumeOptions{Labels: volumeLabels(req)},
		})
	}
	const modules = "/lib/modules" // for the kernel's netfilter and overlay modules, loaded on demand
	if _, err := os.Stat(modules); err == nil && c.engine.IsLocal() {
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

// privilege is whether the engine can run a privileged container. A computer that is itself confined may lack some
// privileges, and an engine may forbid it.
type privilege struct {
	privilegeMu    sync.Mutex
	privilegeKnown bool
	privilegeHeld  bool
}

// canRunPrivileged tries once whether a privileged container starts.
func (c *Cloud) canRunPrivileged(ctx context.Context, image string) (bool, error) {
	c.privilegeMu.Lock()
	defer c.privilegeMu.Unlock()
	if c.privilegeKnown {
		return c.privilegeHeld, nil
	}
	unlock, err := c.engine.Lock(ctx, probeScratch.Lock)
	if err != nil {
		return false, err
	}
	defer unlock()
	c.engine.RemoveScratch(ctx, probeScratch)
	refusal, err := c.tryPrivilegedContainer(ctx, image)
	if err != nil {
		return false, c.engine.WrapError("check whether privileged containers start", err)
	}
	if refusal != nil {
		c.engine.Log.Info("privileged containers do not start: hosts get single capabilities instead", "reason",
			refusal)
	}
	c.privilegeKnown, c.privilegeHeld = true, refusal == nil
	return c.privilegeHeld, nil
}

// privilegeRefusals are the words in which an engine says that a container cannot have all privileges. It has no code
// for that: errors of the runtime come back as internal errors, just as a full disk does.
var privilegeRefusals = []string{"not permitted", "permission denied", "capabilit", "unable to apply caps",
	"invalid argument", "privileged"}

// isPrivilegeRefusal reports whether an error means that privileged containers will not start on this engine.
func isPrivilegeRefusal(err error) bool {
	return errdefs.IsPermissionDenied(err) || errdefs.IsInvalidArgument(err) ||
		slices.ContainsFunc(privilegeRefusals,
			func(words string) bool { return strings.Contains(strings.ToLower(err.Error()), words) })
}

// tryPrivilegedContainer starts a privileged container that does nothing. A refusal is the engine's reason why it
// cannot. Any other error says nothing about privileges and must not be remembered.
func (c *Cloud) tryPrivilegedContainer(ctx context.Context, image string) (refusal, err error) {
	made, err := c.engine.API.ContainerCreate(ctx,
		&container.Config{Image: image, Entrypoint: []string{"/bin/true"},
			Labels: c.engine.ScratchLabels(probeScratch)},
		&container.HostConfig{Privileged: true, NetworkMode: "none", LogConfig: engine.NewLogConfig(),
			CgroupnsMode: container.CgroupnsModePrivate}, nil, nil, "")
	if errdefs.IsPermissionDenied(err) || errdefs.IsInvalidArgument(err) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	defer c.engine.DiscardContainer(ctx, made.ID)
	err = c.engine.API.ContainerStart(ctx, made.ID, container.StartOptions{})
	if err == nil || ctx.Err() == nil && !client.IsErrConnectionFailed(err) && isPrivilegeRefusal(err) {
		return err, nil
	}
	return nil, err
}
