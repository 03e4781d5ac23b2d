package nodes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/kubeconfig"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// drainTimeout bounds how long pods may take to leave a worker that is to be replaced. Pods that stay are lost with
	// it.
	drainTimeout = 2 * time.Minute
	// stopAgentConnectTimeout and stopAgentTimeout bound the stop of its agent: the machine may be gone.
	stopAgentConnectTimeout = 3 * time.Second
	stopAgentTimeout        = 10 * time.Second
)

// Retire drains a worker and stops its agent. Both are best effort: the machine may not answer.
func (a *Activities) Retire(ctx context.Context, m activities.MachineRef) error {
	return a.runStepThoughLost(ctx, m, "drain the Node", func(ctx context.Context, step *machineStep) error {
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		defer kube.CloseClient(client)
		step.report("draining the Node")
		if _, err := kube.DrainNode(ctx, client, m.NodeName, kube.DrainOptions{
			Timeout: drainTimeout, Reason: "the machine is being replaced", Report: step.report,
		}); err != nil && ctx.Err() == nil {
			activity.GetLogger(ctx).Warn("replacing a worker that still has pods", "machine", m.Name, "error", err)
		}
		return a.stopAgentIfPossible(ctx, step)
	})
}

// stopAgentIfPossible stops the agent of a machine that is to be terminated, unless it does not answer.
func (a *Activities) stopAgentIfPossible(ctx context.Context, step *machineStep) error {
	if step.record.Address == "" {
		return nil
	}
	if err := a.stopAgent(ctx, step); err != nil && ctx.Err() == nil {
		activity.GetLogger(ctx).Info("could not stop the agent of a worker that leaves", "machine",
			step.machine.Name, "error", err)
	}
	return ctx.Err()
}

func (a *Activities) stopAgent(ctx context.Context, step *machineStep) error {
	key, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return err
	}
	timeoutCtx, cancel := context.WithTimeout(ctx, stopAgentConnectTimeout)
	defer cancel()
	h, err := a.Pool.GetHost(timeoutCtx, sshtarget.Of(step.cluster, step.record), key)
	if err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, stopAgentTimeout)
	defer cancel()
	return rke2.StopUnit(ctx, h, step.machine.Role)
}

// ForgetNodeInput names the Node of a machine that is gone.
type ForgetNodeInput struct {
	Cluster api.Ref `json:"cluster"`
	Node    string  `json:"node"`
}

// ForgetNode deletes a Node and the secret in which RKE2 keeps its password.
func (a *Activities) ForgetNode(ctx context.Context, in ForgetNodeInput) error {
	client, err := a.newKubeClient(ctx, in.Cluster)
	if err == nil {
		err = kube.DeleteNode(ctx, client, in.Node)
	}
	return activities.StepError(ctx, "forget the Node", in.Node, err)
}

// Restart restarts RKE2 on a machine, and waits until its Node is Ready.
func (a *Activities) Restart(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "restart RKE2", func(ctx context.Context, step *machineStep) error {
		step.report("restarting RKE2")
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		if m.Role == api.RoleHead {
			deleted, err := a.restartServer(ctx, step, h)
			if err == nil && deleted {
				step.report("restarting RKE2 again: its Node was deleted, and a new one registers")
				_, err = a.restartServer(ctx, step, h)
			}
			return err
		}
		recoverCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Recover)
		defer cancel()
		if err := rke2.RestartUnit(recoverCtx, h, m.Role); err != nil {
			return err
		}
		if err := rke2.AwaitAgent(recoverCtx, h, step.report); err != nil {
			return err
		}
		return a.awaitNodeReady(recoverCtx, step)
	})
}

// restartServer restarts RKE2 on a head, and waits until its Node is Ready, unless the deletion of that was requested
// and has ended now.
func (a *Activities) restartServer(ctx context.Context, step *machineStep, h *remote.Host) (nodeDeleted bool,
	err error) {
	recoverCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Recover)
	defer cancel()
	nodeDeleted, err = rke2.RestartServer(recoverCtx, h, step.machine.NodeName, step.report)
	if err != nil || nodeDeleted {
		return nodeDeleted, err
	}
	return false, a.awaitNodeReady(recoverCtx, step)
}

// RefreshCredentials reads tokens and kubeconfig from the head again. If the head's own certificates expire soon, it
// first restarts the server, which renews them.
func (a *Activities) RefreshCredentials(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "refresh the credentials", func(ctx context.Context, step *machineStep) error {
		h, err := a.connectToMachine(ctx, step)
		if err != nil {
			return err
		}
		creds, err := rke2.ReadCredentials(ctx, h)
		if err != nil {
			return err
		}
		expire, err := kube.KubeconfigExpiry(creds.Kubeconfig)
		if err != nil {
			return err
		}
		if expire.Before(a.Now().Add(a.RenewWithin)) {
			step.report("restarting the server, which renews its certificates")
			if err := rke2.RestartUnit(ctx, h, m.Role); err != nil {
				return err
			}
			waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Server)
			defer cancel()
			if err := rke2.AwaitServer(waitCtx, h, step.report); err != nil {
				return err
			}
		}
		return a.recordCredentials(ctx, step, h)
	})
}

// WriteKubeconfig writes the person's kubeconfig file again.
func (a *Activities) WriteKubeconfig(ctx context.Context, ref api.Ref) error {
	const step = "write the kubeconfig"
	if a.ClusterDir == nil {
		return nil
	}
	content, err := a.Store.ReadSecret(ctx, ref, store.SecretKubeconfig)
	if err == nil {
		err = a.writeKubeconfigFiles(ctx, ref, content)
	}
	if pathErr := new(os.PathError); errors.As(err, &pathErr) {
		err = fmt.Errorf("%w; skyctl get kubeconfig %s prints it", err, ref.Name)
		return activities.MakeFinal(activities.StepError(ctx, step, "", err))
	}
	return activities.StepError(ctx, step, "", err)
}

// writeKubeconfigFiles writes the cluster's kubeconfig file, and renews the entries in the kubeconfigs into which the
// person has merged it. Those are the person's: if they cannot be written, the next command of the person does it.
func (a *Activities) writeKubeconfigFiles(ctx context.Context, ref api.Ref, content []byte) error {
	dir := a.ClusterDir(ref.Name)
	if err := kubefile.WriteEntries(filepath.Join(dir, "kubeconfig"), content); err != nil {
		return err
	}
	if err := kubeconfig.Refresh(ctx, dir, ref.Name, ref.UID, content); err != nil {
		activity.GetLogger(ctx).Warn("the entries in a person's kubeconfig are not renewed; skyctl use renews them",
			"cluster", ref.Name, "error", err)
	}
	return nil
}
