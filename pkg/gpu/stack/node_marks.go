package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// AcceleratorLabel is the node label with its accelerators, as the spec names them.
	AcceleratorLabel = "skyctl.sky-shift.org/accelerator"
	// SkyPilotLabel is the node label by which SkyPilot finds accelerators. Its values are in lower case
	// (SkyPilotLabelFormatter in sky/provision/kubernetes/utils.py, 0.14.1).
	SkyPilotLabel = "skypilot.co/accelerator"
	// VerifiedAnnotation is the node annotation with the incarnation of the machine on which a workload has used an
	// accelerator.
	VerifiedAnnotation = "skyctl.sky-shift.org/gpu-verified"
	// presentLabel selects the nodes of the device plugin's chart. With the operator, the operator sets it.
	presentLabel = "nvidia.com/gpu.present"
)

// NodeMark is for the labels of nodes with accelerators. The taint of such nodes is one of their settings
// (api.Cluster.NodeSettings).
type NodeMark struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Accelerator is the name of the accelerators in the spec.
	Accelerator string
}

// MarkNode labels a node with its accelerator. It does not change a node that is already marked.
func MarkNode(ctx context.Context, c *Client, node string, m NodeMark) error {
	if err := patchNodeMarks(ctx, c, node, m); err != nil {
		return fmt.Errorf("marking node %s with its accelerator: %w", node, err)
	}
	return nil
}

func patchNodeMarks(ctx context.Context, c *Client, name string, m NodeMark) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node, err := c.core.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	patch := newMarkPatch(node, m)
	if patch == nil {
		return nil
	}
	b, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = c.core.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, b,
		metav1.PatchOptions{FieldManager: gpu.FieldManager})
	return err
}

// newMarkPatch returns the merge patch that marks a node, or nil if it is marked.
func newMarkPatch(node *corev1.Node, m NodeMark) map[string]any {
	labels := map[string]any{}
	want := map[string]string{AcceleratorLabel: toLabelValue(m.Accelerator)}
	if m.Kind == api.GPUStackDevicePlugin {
		want[presentLabel] = "true"
	}
	for key, value := range want {
		if node.Labels[key] != value {
			labels[key] = value
		}
	}
	if node.Labels[SkyPilotLabel] == "" { // another value is the person's own
		labels[SkyPilotLabel] = strings.ToLower(want[AcceleratorLabel])
	}
	if len(labels) == 0 {
		return nil
	}
	return map[string]any{"metadata": map[string]any{"labels": labels}}
}

// toLabelValue makes the name of an accelerator a valid label value.
func toLabelValue(accelerator string) string { return strings.TrimRight(accelerator, "-_.") }

// FindUnverifiedNodes returns the nodes on which no workload has used an accelerator since their machine was launched.
// incarnations are those of the machines, by node name. Nodes that do not exist are skipped.
func FindUnverifiedNodes(ctx context.Context, c *Client, incarnations map[string]string) ([]string, error) {
	nodes, err := kube.ListNodes(ctx, c.core)
	if err != nil {
		return nil, err
	}
	var unverified []string
	for _, name := range slices.Sorted(maps.Keys(incarnations)) {
		if n := nodes[name]; n != nil && n.Annotations[VerifiedAnnotation] != incarnations[name] {
			unverified = append(unverified, name)
		}
	}
	return unverified, nil
}

func annotateVerified(ctx context.Context, c *Client, node, incarnation string) error {
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{VerifiedAnnotation: incarnation}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := c.core.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, b,
		metav1.PatchOptions{FieldManager: gpu.FieldManager}); err != nil {
		return fmt.Errorf("annotating node %s as verified: %w", node, err)
	}
	return nil
}
