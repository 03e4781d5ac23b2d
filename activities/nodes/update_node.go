package nodes

import (
	"context"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// UpdateNode gives a machine's Node the labels and taints that are wanted now, and takes away those that skyctl gave it
// and that are not. First it writes them to RKE2's configuration, without a restart: RKE2 sets the labels of its
// configuration each time it starts. The record says before and after it what the Node may have, so an update that was
// cut off is repeated as a whole, or undone.
func (a *Activities) UpdateNode(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "update the Node", func(ctx context.Context, step *machineStep) error {
		given, wanted, err := a.beginNodeUpdate(ctx, step)
		if err != nil {
			return err
		}
		if err := a.writeNodeConfig(ctx, step, wanted); err != nil {
			return err
		}
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		defer kube.CloseClient(client)
		if err := kube.UpdateNodeSettings(ctx, client, m.NodeName, given, wanted); err != nil {
			return err
		}
		_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
			r.EndNodeUpdate(wanted)
			if r.State == api.MachineReady {
				r.Step, r.Trouble, r.Since = "", "", a.Now()
			}
			return nil
		})
		return err
	})
}

// beginNodeUpdate records what the Node may have from now on, and returns what it may have and what it is to have.
func (a *Activities) beginNodeUpdate(ctx context.Context, step *machineStep) (given, wanted api.NodeSettings,
	err error) {
	m := step.machine
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		given, wanted = step.cluster.BeginNodeUpdate(r)
		return nil
	})
	return given, wanted, err
}

// writeNodeConfig writes RKE2's configuration on a machine that runs, with other labels and taints.
func (a *Activities) writeNodeConfig(ctx context.Context, step *machineStep, settings api.NodeSettings) error {
	node := newRKE2Node(step.cluster, step.record)
	node.Labels, node.Taints = settings.Labels, settings.Taints
	if step.machine.Role == api.RoleHead {
		password, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretAgentPassword)
		if err != nil {
			return err
		}
		node.AgentToken, node.TLSSANs = string(password), serverSANs(step.record)
	} else {
		head, err := step.cluster.Head()
		if err != nil {
			return err
		}
		node.Server = serverURL(head)
	}
	h, err := a.connectToMachine(ctx, step)
	if err != nil {
		return err
	}
	return rke2.WriteConfig(ctx, h, node)
}
