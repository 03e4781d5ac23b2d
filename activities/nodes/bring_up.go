package nodes

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
	"github.com/sky-shift/skyctl/pkg/store"
)

// StartHead starts the RKE2 server, waits until agents can join, and records the cluster's credentials.
func (a *Activities) StartHead(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "start the server", func(ctx context.Context, step *machineStep) error {
		step.report("starting the server")
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		node, err := a.newServerNode(ctx, step)
		if err != nil {
			return err
		}
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		if was := step.record.ConfiguredPrivateAddress(); was != "" && was != node.NodeIP {
			step.report("moving etcd from " + was + " to " + node.NodeIP)
			if err := rke2.MoveEtcd(waitCtx, h, node); err != nil {
				return err
			}
		}
		node.Restart = step.record.HasOutdatedConfig(step.record)
		if err := a.recordAPIReady(ctx, step, time.Time{}); err != nil {
			return err
		}
		if err := rke2.StartServer(ctx, h, node); err != nil {
			return err
		}
		if err := rke2.AwaitSupervisor(waitCtx, h, step.report); err != nil {
			return err
		}
		if err := a.recordCredentials(ctx, step, h); err != nil {
			return err
		}
		return a.recordConfiguredFor(ctx, step)
	})
}

// newServerNode returns what RKE2's configuration on a head says.
func (a *Activities) newServerNode(ctx context.Context, step *machineStep) (rke2.Node, error) {
	password, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretAgentPassword)
	if err != nil {
		return rke2.Node{}, err
	}
	node := newRKE2Node(step.cluster, step.record)
	node.AgentToken, node.TLSSANs = string(password), serverSANs(step.record)
	return node, a.addRKE2Settings(ctx, step.cluster, &node)
}

// AwaitServer waits until the head's Kubernetes API answers.
func (a *Activities) AwaitServer(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "wait for the Kubernetes API", func(ctx context.Context, step *machineStep) error {
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		if err := rke2.AwaitServer(waitCtx, h, step.report); err != nil {
			return err
		}
		return a.recordAPIReady(ctx, step, a.Now())
	})
}

// recordCredentials copies tokens and kubeconfig to the store, and the kubeconfig to the person's files.
func (a *Activities) recordCredentials(ctx context.Context, step *machineStep, h *remote.Host) error {
	ref := step.machine.Cluster
	creds, err := rke2.ReadCredentials(ctx, h)
	if err != nil {
		return err
	}
	access, err := a.chooseAPIAccess(ctx, step.record, ref)
	if err != nil {
		return err
	}
	kubeconfig, err := access.editKubeconfig(creds.Kubeconfig, step.record, ref.Name)
	if err != nil {
		return err
	}
	secrets := map[string][]byte{
		store.SecretServerToken: []byte(creds.ServerToken),
		store.SecretAgentToken:  []byte(creds.AgentToken),
		store.SecretKubeconfig:  kubeconfig,
	}
	if password := parseAgentPassword(creds.AgentToken); password != "" {
		secrets[store.SecretAgentPassword] = []byte(password)
	}
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		if err := a.Store.PutSecret(ctx, ref, key, secrets[key]); err != nil {
			return err
		}
	}
	if a.ClusterDir != nil {
		// A full disk here must not fail the cluster: the kubeconfig is in the store.
		if err := a.writeKubeconfigFiles(ctx, ref, kubeconfig); err != nil {
			activity.GetLogger(ctx).Warn("the kubeconfig could not be written; skyctl get kubeconfig prints it",
				"cluster", ref.Name, "error", err)
		}
	}
	_, err = a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.Endpoint, c.Status.TunnelPort = access.endpoint, access.port
		return nil
	})
	return err
}

// Join starts the RKE2 agent of a worker against the head's supervisor, and waits until its unit is up.
func (a *Activities) Join(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "join the cluster", func(ctx context.Context, step *machineStep) error {
		return a.joinHead(ctx, step, false)
	})
}

// joinHead is Join within a step. It can restart an agent that has the right configuration.
func (a *Activities) joinHead(ctx context.Context, step *machineStep, restart bool) error {
	head, err := step.cluster.Head()
	if err != nil {
		return err
	}
	token, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretAgentToken)
	if err != nil {
		return err
	}
	step.report("joining the cluster")
	h, err := a.connectToMachine(ctx, step)
	if err != nil {
		return err
	}
	node := newRKE2Node(step.cluster, step.record)
	node.Server = serverURL(head)
	node.Restart = restart || step.record.HasOutdatedConfig(head)
	if err := a.addRKE2Settings(ctx, step.cluster, &node); err != nil {
		return err
	}
	a.warnOfSmallPackets(ctx, step)
	if err := rke2.JoinAgent(ctx, h, node, string(token)); err != nil {
		return err
	}
	waitCtx, cancel := a.withJoinDeadline(ctx, step)
	defer cancel()
	routes := []portRoute{{step.record, head, preflight.HeadSupervisorPort},
		{step.record, head, preflight.HeadAPIPort}}
	err = a.runWhileReachable(waitCtx, step, routes, nil,
		func(ctx context.Context) error { return rke2.AwaitAgent(ctx, h, step.report) })
	if err != nil {
		return err
	}
	return a.recordConfiguredFor(ctx, step)
}

// AwaitNode waits until the machine's Node is Ready.
func (a *Activities) AwaitNode(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "wait for the Node", func(ctx context.Context, step *machineStep) error {
		step.report("waiting for the Node to be Ready")
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Node)
		defer cancel()
		err := a.awaitNodeReachable(waitCtx, step, func(ctx context.Context) error {
			return a.awaitWithComponents(ctx, step, func(ctx context.Context) error {
				return a.awaitNodeReady(ctx, step)
			})
		})
		if err != nil {
			return err
		}
		_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
			r.SetState(api.MachineReady, "", a.Now())
			return nil
		})
		return err
	})
}

// recordConfiguredFor records which addresses, and which schedule of snapshots, RKE2 on a machine is configured for:
// those that were recorded when the step started.
func (a *Activities) recordConfiguredFor(ctx context.Context, step *machineStep) error {
	head, err := step.cluster.Head()
	if err != nil {
		return err
	}
	wanted, schedule := step.record.ConfigAddresses(head), ""
	if step.machine.Role == api.RoleHead {
		schedule = step.cluster.Spec.Snapshots.Schedule()
	}
	if step.record.ConfiguredFor == wanted && step.record.SnapshotSchedule == schedule {
		return nil
	}
	_, err = a.Store.UpdateMachine(ctx, step.machine.Cluster, step.record.Index, step.record.Incarnation,
		func(r *api.Machine) error {
			r.ConfiguredFor, r.SnapshotSchedule = wanted, schedule
			return nil
		})
	return err
}
