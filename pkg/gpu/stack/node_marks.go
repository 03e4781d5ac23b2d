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
	"k8s.io/client-go/util/retry"
)

const (
	// AcceleratorLabel is the node label with its accelerators, as the spec names them.
	AcceleratorLabel = "skyctl.sky-shift.org/accelerator"
	// VerifiedAnnotation is the node annotation with the incarnation of the machine on which a workload has used an
	// accelerator.
	VerifiedAnnotation = "skyctl.sky-shift.org/gpu-verified"
	// presentLabel selects the nodes of the device plugin's chart. With the operator, the operator sets it.
	presentLabel = "nvidia.com/gpu.present"
)

// gpuTaint keeps off pods that request no accelerator. NVIDIA's software tolerates it.
var gpuTaint = corev1.Taint{Key: gpu.ResourceName, Value: "present", Effect: corev1.TaintEffectNoSchedule}

// NodeMark is the label and taint of nodes with accelerators.
type NodeMark struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Accelerator is the name of the accelerators in the spec.
	Accelerator string
	// Taint keeps pods that request no accelerator off the node. It is only for workers: the cluster's own pods need
	// the head.
	Taint bool
}

// MarkNode labels a node with its accelerator and, if m.Taint is set, taints it. It does not change a node that is
// already marked.
func MarkNode(ctx context.Context, c *Client, node string, m NodeMark) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return patchNodeMarks(ctx, c, node, m) })
	if err != nil {
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

// newMarkPatch returns the merge patch that marks a node, or nil if it is marked. A merge patch replaces all taints, so
// it is only valid for the resource version that it was made from.
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
	patch := map[string]any{}
	if len(labels) > 0 {
		patch["metadata"] = map[string]any{"labels": labels}
	}
	if m.Taint && !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&gpuTaint) }) {
		patch["spec"] = map[string]any{"taints": append(slices.Clone(node.Spec.Taints), gpuTaint)}
		patch["metadata"] = map[string]any{"labels": labels, "resourceVersion": node.ResourceVersion}
	}
	if len(patch) == 0 {
		return nil
	}
	return patch
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
