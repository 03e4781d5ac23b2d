package nodes

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// RejoinWorker makes the agent of a worker join the restored server: it restarts it with the address and the token of
// that server, so that the kubelet ends pods that are newer than the snapshot, and waits until the Node has a new
// heartbeat. A password of the Node that does not fit is forgotten.
func (a *Activities) RejoinWorker(ctx context.Context, m activities.MachineRef) error {
	return a.runStep(ctx, m, "rejoin the restored cluster", func(ctx context.Context, step *machineStep) error {
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		defer kube.CloseClient(client)
		last, err := kube.ReadHeartbeat(ctx, client, m.NodeName)
		if err != nil {
			return err
		}
		err = a.joinHead(ctx, step, true)
		if refused := new(rke2.Error); errors.As(err, &refused) && refused.Kind == rke2.DuplicateNode {
			if err := kube.DeleteNode(ctx, client, m.NodeName); err != nil {
				return err
			}
			last, err = kube.Heartbeat{}, a.joinHead(ctx, step, true)
		}
		if err != nil {
			return err
		}
		step.report("waiting for a heartbeat of the Node")
		waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Node)
		defer cancel()
		return a.awaitNodeReachable(waitCtx, step, func(ctx context.Context) error {
			return kube.AwaitHeartbeat(ctx, client, m.NodeName, last)
		})
	})
}

// CleanRestoredInput names a cluster that was restored.
type CleanRestoredInput struct {
	Cluster api.Ref `json:"cluster"`
	// NewMachines: no machine is older than the restore, so every other Node is of one that is gone.
	NewMachines bool `json:"new_machines,omitempty"`
}

// CleanRestored deletes the Nodes of machines that are gone, with the secrets of their passwords, and the pods on them:
// they came back with the snapshot. Nodes that skyctl did not make stay, unless all machines are new.
func (a *Activities) CleanRestored(ctx context.Context, in CleanRestoredInput) error {
	const step = "delete the Nodes of machines that are gone"
	return activities.StepError(ctx, step, "", a.deleteGoneNodes(ctx, in))
}

func (a *Activities) deleteGoneNodes(ctx context.Context, in CleanRestoredInput) error {
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return err
	}
	client, err := activities.NewClusterClient(ctx, c, a.Store, a.Pool)
	if err != nil {
		return err
	}
	defer kube.CloseClient(client)
	found, err := kube.ListNodes(ctx, client)
	if err != nil {
		return err
	}
	exist := map[string]bool{}
	for _, m := range c.Status.Machines {
		exist[m.NodeName] = m.State.MayExist()
	}
	gone := func(name string) bool { return !exist[name] && (in.NewMachines || isNodeOf(c, name)) }
	for name := range found {
		if !gone(name) {
			continue
		}
		if err := kube.DeleteNode(ctx, client, name); err != nil {
			return err
		}
		activity.GetLogger(ctx).Info("deleted the Node of a machine that is gone", "node", name)
	}
	a.deleteGonePods(ctx, client, gone)
	return nil
}

// gonePodsTimeout bounds the deletion of the pods on Nodes that are gone. Kubernetes deletes those that are left.
const gonePodsTimeout = 2 * time.Minute

// deleteGonePods deletes the pods on Nodes that are gone, so that their controllers start others now. Otherwise
// Kubernetes shows them as Running for about a minute.
func (a *Activities) deleteGonePods(ctx context.Context, client kubernetes.Interface, gone func(node string) bool) {
	ctx, cancel := context.WithTimeout(ctx, gonePodsTimeout)
	defer cancel()
	n, err := kube.DeletePodsOfGoneNodes(ctx, client, gone)
	if err != nil {
		activity.GetLogger(ctx).Warn("not all pods of machines that are gone were deleted", "error", err)
		return
	}
	activity.GetLogger(ctx).Info("deleted the pods of machines that are gone", "pods", n)
}

// isNodeOf reports whether a Node has the name of a machine of the cluster, of any incarnation.
func isNodeOf(c *api.Cluster, node string) bool {
	cut := strings.LastIndexByte(node, '-')
	if cut < 0 {
		return false
	}
	cluster, _, ok := api.ParseMachineName(node[:cut])
	return ok && cluster == c.Metadata.Name
}
