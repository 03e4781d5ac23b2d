package nodes

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// requirePodNetwork adds what the pod network of a cluster needs of a machine. The head's first start decides whether
// it is encrypted, and how large its packets are. Servers of earlier versions have what canal's chart sets.
func requirePodNetwork(requirements *preflight.Requirements, c *api.Cluster) {
	cni := c.Spec.Network.CNI
	requirements.VXLAN = cni != rke2config.None
	head, err := c.Head()
	if err != nil {
		return
	}
	requirements.Overlay, _ = overlayPort(cni, head)
	if cni != "" && cni != rke2config.DefaultCNI {
		return
	}
	if head.Placement.Exposed {
		requirements.VXLAN, requirements.WireGuard = false, true
	}
	if requirements.Role != api.RoleHead && (head.MTU > 0 || head.State == api.MachineReady) {
		requirements.PodMTU = rke2.PodMTU(head.MTU, requirements.WireGuard)
	}
}

// recordMTU records what the network of a machine takes.
func (a *Activities) recordMTU(ctx context.Context, step *machineStep, mtu int) error {
	if step.record.MTU == mtu {
		return nil
	}
	_, err := a.Store.UpdateMachine(ctx, step.machine.Cluster, step.record.Index, step.record.Incarnation,
		func(r *api.Machine) error {
			r.MTU = mtu
			return nil
		})
	return err
}

// warnOfSmallPackets records that the network of a worker takes smaller packets than pods send. When the worker was
// prepared, the head may not have been yet.
func (a *Activities) warnOfSmallPackets(ctx context.Context, step *machineStep) {
	for _, f := range preflight.FindSmallPackets(step.record.MTU, newRequirements(step.cluster, step.record)) {
		activities.RecordEvent(ctx, a.Store, activities.NewEvent(step.cluster, step.machine.Name, api.EventWarning,
			reasonMachineWarning, f.String()))
	}
}
