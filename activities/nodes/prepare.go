package nodes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
)

// Prepare checks a machine and installs RKE2's files on it. It tells all problems of the machine before it changes
// anything there.
func (a *Activities) Prepare(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "install RKE2", func(ctx context.Context, step *machineStep) error {
		if step.cluster.Status.Artifacts == nil {
			return fmt.Errorf("no RKE2 release is pinned for the cluster")
		}
		var settings rke2.Node
		if err := a.addRKE2Settings(ctx, step.cluster, &settings); err != nil {
			return err
		}
		env := settings.Env
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		installCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Install)
		defer cancel()
		if err := a.makeFit(installCtx, h, step, env); err != nil {
			return err
		}
		pinned := *step.cluster.Status.Artifacts
		if err := rke2.InstallRelease(installCtx, h, pinned, env, step.report); err != nil {
			return err
		}
		imagesCtx, cancelImages := activities.WithDeadline(ctx, a.Deadlines.Images)
		defer cancelImages()
		if err := rke2.InstallImages(imagesCtx, h, pinned.Images, env, step.report); err != nil {
			return err
		}
		if err := rke2.ApplyProfile(imagesCtx, h, step.cluster.Spec.RKE2.Config); err != nil {
			return err
		}
		if err := a.Home.WriteMachineMark(imagesCtx, h); err != nil {
			return err
		}
		return activities.RecordMachineState(ctx, a.Store, m, api.MachinePrepared, "", a.Now())
	})
}

// reasonMachineWarning is the reason of the events about what may keep a machine from being a node.
const reasonMachineWarning = "MachineWarning"

// makeFit refuses a machine that cannot be a node, records what else is wrong with it, and mends what skyctl can mend.
// env are the variables of rke2.env.
func (a *Activities) makeFit(ctx context.Context, h *remote.Host, step *machineStep, env map[string]string) error {
	step.report("checking the machine")
	requirements := newRequirements(step.cluster, step.record)
	requirements.Env = env
	beside, err := a.Store.ReadClusterPart(ctx, step.machine.Cluster, step.record.Index-1, step.record.Index+1)
	if err != nil {
		return err
	}
	requirements.Peers = listKnownPeers(beside, step.record)
	facts, found, err := preflight.CheckMachine(ctx, h, requirements, a.Now, step.report)
	if err != nil {
		return err
	}
	if !requirements.Proven && preflight.RefuseUnfit(h.Name(), found) != nil {
		all, err := activities.ReadCluster(ctx, a.Store, step.machine.Cluster)
		if err != nil {
			return err
		}
		if requirements.Proven = isProven(all, step.record); requirements.Proven {
			if facts, found, err = preflight.CheckMachine(ctx, h, requirements, a.Now, step.report); err != nil {
				return err
			}
		}
	}
	if err := preflight.RefuseUnfit(h.Name(), found); err != nil {
		return err
	}
	for _, f := range found {
		activities.RecordEvent(ctx, a.Store, activities.NewEvent(step.cluster, step.machine.Name, api.EventWarning,
			reasonMachineWarning, f.String()))
	}
	if err := a.recordMTU(ctx, step, facts.MTU); err != nil {
		return err
	}
	return preflight.MendMachine(ctx, h, facts, requirements, step.report)
}

// isProven reports whether a machine of the same pool has been a node: machines like it work then.
func isProven(c *api.Cluster, r *api.Machine) bool {
	return slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool {
		return m.PoolName() == r.PoolName() && m.WasBroughtUp()
	})
}

// isCloudProven reports whether a machine of the same cloud has been a node.
func isCloudProven(c *api.Cluster, r *api.Machine) bool {
	return slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool {
		return m.Placement.Cloud == r.Placement.Cloud && m.WasBroughtUp()
	})
}

// newRequirements returns what a machine of a cluster is checked for, without other machines.
func newRequirements(c *api.Cluster, r *api.Machine) preflight.Requirements {
	requirements := preflight.Requirements{Role: r.Role, Cloud: r.Placement.Cloud, Address: r.PrivateAddress,
		Proven: isProven(c, r), CloudProven: isCloudProven(c, r)}
	requirePodNetwork(&requirements, c)
	if a := c.Status.Artifacts; a != nil {
		requirements.Release, requirements.Archives = a.Version, listArchives(a.Images)
		requirements.Registries = preflight.ListRegistries(a, c.Spec.RKE2)
		if !filepath.IsAbs(a.Source) {
			requirements.SourceURL = a.Source
		}
	}
	return requirements
}

// listArchives returns the archives of images that machines get. The size of one that machines download is not known.
func listArchives(images []api.PinnedImages) []preflight.Archive {
	var archives []preflight.Archive
	for _, i := range images {
		archive := preflight.Archive{Arch: i.Arch, OfRKE2: preflight.IsRKE2Archive(i)}
		if info, err := os.Stat(i.From); err == nil { // the copy tells what is wrong with a file
			archive.Bytes = info.Size()
		}
		archives = append(archives, archive)
	}
	return archives
}

// listKnownPeers returns the machines that a machine is to reach before it becomes a node: its head, and the others in
// c to which skyctl has logged in already, so that they do not still boot.
func listKnownPeers(c *api.Cluster, self *api.Machine) []preflight.Peer {
	var peers []preflight.Peer
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		reached := m.HostKey != "" && m.State.MayExist() && m.State != api.MachineTerminating
		if m.Index != self.Index && (m.Role == api.RoleHead || reached) {
			peers = append(peers, listPeers(m)...)
		}
	}
	return peers
}

// defaultSSHPort is where the SSH server of a machine listens at its private address if its public one is another.
const defaultSSHPort = 22

// listPeers returns a machine as one that others must reach, if its address is known. Its SSH server listens before
// RKE2.
func listPeers(r *api.Machine) []preflight.Peer {
	if r.PrivateAddress == "" {
		return nil
	}
	port := defaultSSHPort
	if r.Address == r.PrivateAddress && r.SSHPort != 0 {
		port = r.SSHPort
	}
	return []preflight.Peer{{Name: r.Name, Address: r.PrivateAddress, Port: port}}
}
