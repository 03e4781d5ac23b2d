package head

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// Finalizers of RKE2's controllers: each that acts on the removal of Nodes adds its own to every Node (wrangler v3.7.0
// pkg/generic/remove.go; k3s pkg/node/controller.go and pkg/etcd/member_controller.go).
const (
	nodeFinalizer = "wrangler.cattle.io/node"
	etcdFinalizer = "wrangler.cattle.io/managed-etcd-controller"
)

// removalAnnotation asks for the removal of a server from etcd.
const removalAnnotation = "etcd.rke2.cattle.io/remove"

const (
	// podsEndAfter is how long the kubelet takes to end static pods whose manifests are gone, and with it the moment
	// in which the API answers after a start.
	podsEndAfter = 3 * time.Second
	// leaseLostAfter is when RKE2 gives up renewing its lease (wrangler v3.7.0 pkg/leader/leader.go). It exits then.
	leaseLostAfter = 30 * time.Second
	// mostConflicts is how often an update is tried again because the Node has changed.
	mostConflicts = 5
)

// errLeaseLost ends a server that lost its API.
var errLeaseLost = errors.New("leaderelection lost for rke2")

// roleLabels are those of an RKE2 server. A kubelet may not set them itself.
var roleLabels = map[string]string{
	"node-role.kubernetes.io/control-plane": "true",
	"node-role.kubernetes.io/etcd":          "true",
	"node-role.kubernetes.io/master":        "true",
}

// nodeControllers do what RKE2's controllers do with Nodes.
type nodeControllers struct {
	head  *Head
	cloud *cloudController // nil: none
	lost  bool             // the static pods are being removed
}

// watchNodes runs the controllers until ctx ends.
func (h *Head) watchNodes(ctx context.Context) {
	c := &nodeControllers{head: h}
	if !h.opts.Cluster.NoCloudController {
		c.cloud = newCloudController(h.api)
	}
	var spoken time.Time
	defer time.AfterFunc(placeLatest, c.placePods).Stop()
	h.api.WatchNodes(ctx, func(n kubeapi.Node, gone bool) { c.reconcile(ctx, &n, gone) },
		func(err error) {
			if time.Since(spoken) > 10*time.Second {
				spoken = time.Now()
				logline.Warnf("watch nodes: %v; trying again", err)
			}
		})
}

func (c *nodeControllers) reconcile(ctx context.Context, n *kubeapi.Node, gone bool) {
	h, name := c.head, n.Metadata.Name
	own := name == h.opts.NodeName
	if own && isBeingRemoved(n) && !c.lost {
		c.lost = true
		go h.loseStaticPods(ctx)
	}
	if gone || n.Metadata.DeletionTimestamp != "" {
		h.supervisor.ForgetNode(ctx, name)
	}
	if gone {
		return
	}
	if own && n.IsReady() {
		c.placePods()
	}
	if c.cloud != nil && (!own || h.pods.arePlaced()) {
		c.cloud.initialise(ctx, n)
	}
	labelled := hasRoleLabels(n)
	if err := c.update(ctx, n, own); err != nil {
		logline.Warnf("failed to update node %s: %v", name, err) // its next change brings it back
	} else if own && !labelled {
		logline.Infof("Labels and annotations have been set successfully on node: %s", name)
	}
}

// update changes the Node as nodePatch says. The Node may have changed meanwhile.
func (c *nodeControllers) update(ctx context.Context, n *kubeapi.Node, own bool) error {
	for tries := 0; ; tries++ {
		patch := nodePatch(n, own)
		if patch == nil {
			return nil
		}
		err := c.head.api.PatchNode(ctx, n, patch)
		if kubeapi.HasStatusCode(err, http.StatusNotFound) {
			return nil
		}
		if !kubeapi.HasStatusCode(err, http.StatusConflict) || tries == mostConflicts {
			return err
		}
		now, err := c.head.api.GetNode(ctx, n.Metadata.Name)
		if err != nil {
			return err
		}
		n = &now
	}
}

func (c *nodeControllers) placePods() {
	if err := c.head.pods.placeAll(); err != nil {
		logline.Errorf("failed to write static pods: %v", err)
	}
}

// isBeingRemoved is the condition on which RKE2 removes a server's static pods (rke2 pkg/rke2/spc.go).
func isBeingRemoved(n *kubeapi.Node) bool {
	return n.Metadata.DeletionTimestamp != "" || n.Metadata.Annotations[removalAnnotation] == "true"
}

// nodePatch is what the controllers change of a Node, or nil.
func nodePatch(n *kubeapi.Node, own bool) map[string]any {
	want := slices.Clone(n.Metadata.Finalizers)
	if n.Metadata.DeletionTimestamp == "" {
		for _, finalizer := range []string{etcdFinalizer, nodeFinalizer} {
			if !slices.Contains(want, finalizer) {
				want = append(want, finalizer)
			}
		}
	} else {
		want = slices.DeleteFunc(want, func(finalizer string) bool {
			// The only member of etcd can't be removed: etcd refuses, and the finalizer stays.
			return finalizer == nodeFinalizer || finalizer == etcdFinalizer && !own
		})
	}
	metadata := map[string]any{}
	if !slices.Equal(want, n.Metadata.Finalizers) {
		metadata["finalizers"] = want
	}
	if own && !hasRoleLabels(n) {
		metadata["labels"] = roleLabels
	}
	if len(metadata) == 0 {
		return nil
	}
	return map[string]any{"metadata": metadata}
}

func hasRoleLabels(n *kubeapi.Node) bool {
	for key, value := range roleLabels {
		if n.Metadata.Labels[key] != value {
			return false
		}
	}
	return true
}

// loseStaticPods is what a server does whose own Node is deleted: the manifests of its control plane go, the kubelet
// ends the pods, and RKE2 exits when it can't renew its lease any more. Each later start ends the same way for as long
// as the Node is being deleted.
func (h *Head) loseStaticPods(ctx context.Context) {
	logline.Infof("Local Node deleted or removed from etcd cluster, cleaning up server static pods")
	if err := h.pods.lose(); err != nil {
		logline.Errorf("spc: failed to clean up static pods: %v", err)
	}
	for _, step := range []struct {
		wait time.Duration
		do   func()
	}{
		{podsEndAfter, h.Stop},
		{leaseLostAfter, func() { h.opts.Fail(errLeaseLost) }},
	} {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step.wait):
			step.do()
		}
	}
}
