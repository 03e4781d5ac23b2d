package head

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/node"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
)

// RKE2's cloud controller takes a moment for each Node; the static pod that it is takes much longer to start.
const (
	initialiseAfter    = 300 * time.Millisecond
	initialiseInterval = 100 * time.Millisecond
)

// instanceLabels are set on each Node that is initialised (k3s pkg/cloudprovider/instances.go, InstanceType).
var instanceLabels = map[string]string{
	"beta.kubernetes.io/instance-type": "rke2",
	"node.kubernetes.io/instance-type": "rke2",
}

// placeCloudController writes the placeholder of the cloud controller, which is a part of this process.
func (h *Head) placeCloudController() error {
	if h.opts.Cluster.NoCloudController {
		return h.pods.remove(staticpod.CloudController)
	}
	return h.pods.place(h.newPod(staticpod.CloudController, nil))
}

// nodeAPI is what the cloud controller needs of an apiserver.
type nodeAPI interface {
	GetNode(ctx context.Context, name string) (kubeapi.Node, error)
	PatchNode(ctx context.Context, n *kubeapi.Node, patch map[string]any) error
}

// cloudController initialises Nodes as RKE2's does: new Nodes have a taint that keeps pods away until then.
type cloudController struct {
	api   nodeAPI
	modes hostmode.Modes
	mu    sync.Mutex
	busy  map[string]bool // Nodes that are being initialised
}

func newCloudController(api nodeAPI) *cloudController {
	return &cloudController{api: api, modes: hostmode.Host, busy: map[string]bool{}}
}

// initialise starts with n, unless it is initialised or being so.
func (c *cloudController) initialise(ctx context.Context, n *kubeapi.Node) {
	name := n.Metadata.Name
	c.mu.Lock()
	defer c.mu.Unlock()
	if !isUninitialized(n) || c.busy[name] {
		return
	}
	c.busy[name] = true
	go func() {
		c.initialiseNode(ctx, name)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, name)
	}()
}

func (c *cloudController) initialiseNode(ctx context.Context, name string) {
	started := time.Now()
	for {
		if time.Since(started) >= max(initialiseAfter, c.modes.Seconds(hostmode.Uninitialized)) {
			n, err := c.api.GetNode(ctx, name)
			if err == nil && isUninitialized(&n) {
				err = c.api.PatchNode(ctx, &n, initialisedPatch(&n))
			}
			if err == nil {
				logline.Infof("Initialized node %s with cloud provider", name)
				return
			}
			if kubeapi.HasStatusCode(err, http.StatusNotFound) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(initialiseInterval):
		}
	}
}

func isUninitialized(n *kubeapi.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t kubeapi.Taint) bool { return t.Key == node.UninitializedTaint })
}

// initialisedPatch takes the taint away and sets the labels.
func initialisedPatch(n *kubeapi.Node) map[string]any {
	taints := slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t kubeapi.Taint) bool {
		return t.Key == node.UninitializedTaint
	})
	return map[string]any{
		"metadata": map[string]any{"labels": instanceLabels},
		"spec":     map[string]any{"taints": taints},
	}
}
