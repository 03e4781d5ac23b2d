package nodes

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Prepare checks a machine and installs RKE2's files on it.
func (a *Activities) Prepare(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "install RKE2", func(ctx context.Context, step *machineStep) error {
		if step.cluster.Status.Artifacts == nil {
			return fmt.Errorf("no RKE2 release is pinned for the cluster")
		}
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		installCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Install)
		defer cancel()
		if err := preflight.CheckFitness(installCtx, h, a.Now, step.report); err != nil {
			return err
		}
		if err := rke2.InstallRelease(installCtx, h, *step.cluster.Status.Artifacts, step.report); err != nil {
			return err
		}
		if err := a.Home.WriteMachineMark(installCtx, h); err != nil {
			return err
		}
		return activities.RecordMachineState(ctx, a.Store, m, api.MachinePrepared, "", a.Now())
	})
}

// StartHead starts the RKE2 server, waits until agents can join, and records the cluster's credentials.
func (a *Activities) StartHead(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "start the server", func(ctx context.Context, step *machineStep) error {
		password, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretAgentPassword)
		if err != nil {
			return err
		}
		step.report("starting the server")
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		node := newRKE2Node(step.cluster, step.record)
		node.AgentToken, node.TLSSANs = string(password), serverSANs(step.record)
		node.Restart = step.record.HasOutdatedConfig(step.record)
		if err := a.addRKE2Settings(ctx, step, &node); err != nil {
			return err
		}
		if err := rke2.StartServer(ctx, h, node); err != nil {
			return err
		}
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		if err := rke2.AwaitSupervisor(waitCtx, h, step.report); err != nil {
			return err
		}
		if err := a.recordCredentials(ctx, step, h); err != nil {
			return err
		}
		return a.recordConfiguredFor(ctx, step)
	})
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
		return rke2.AwaitServer(waitCtx, h, step.report)
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
		if err := kubefile.WriteEntries(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"),
			kubeconfig); err != nil {
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
		head, err := step.cluster.Head()
		if err != nil {
			return err
		}
		token, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretAgentToken)
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
		node.Restart = step.record.HasOutdatedConfig(head)
		if err := a.addRKE2Settings(ctx, step, &node); err != nil {
			return err
		}
		if err := rke2.JoinAgent(ctx, h, node, string(token)); err != nil {
			return err
		}
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Agent)
		defer cancel()
		routes := []portRoute{{step.record, head, preflight.HeadSupervisorPort},
			{step.record, head, preflight.HeadAPIPort}}
		err = a.runWhileReachable(waitCtx, step, routes, nil,
			func(ctx context.Context) error { return rke2.AwaitAgent(ctx, h, step.report) })
		if err != nil {
			return err
		}
		return a.recordConfiguredFor(ctx, step)
	})
}

// AwaitNode waits until the machine's Node is Ready.
func (a *Activities) AwaitNode(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "wait for the Node", func(ctx context.Context, step *machineStep) error {
		step.report("waiting for the Node to be Ready")
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Node)
		defer cancel()
		err := a.awaitNodeReachable(waitCtx, step, func(ctx context.Context) error {
			return a.awaitNodeReady(ctx, step)
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

// recordConfiguredFor records which addresses RKE2 on a machine is configured for: those that were recorded when the
// step started.
func (a *Activities) recordConfiguredFor(ctx context.Context, step *machineStep) error {
	head, err := step.cluster.Head()
	if err != nil {
		return err
	}
	wanted := step.record.ConfigAddresses(head)
	if step.record.ConfiguredFor == wanted {
		return nil
	}
	_, err = a.Store.UpdateMachine(ctx, step.machine.Cluster, step.record.Index, step.record.Incarnation,
		func(r *api.Machine) error {
			r.ConfiguredFor = wanted
			return nil
		})
	return err
}
