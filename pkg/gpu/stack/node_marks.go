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
	// AcceleratorLabel says on a node which accelerators it has, as the spec calls them.
	AcceleratorLabel = "skyctl.sky-shift.org/accelerator"
	// VerifiedAnnotation says on a node for which incarnation of its machine a workload got an accelerator and ended
	// well.
	VerifiedAnnotation = "skyctl.sky-shift.org/gpu-verified"
	// presentLabel tells the device plugin's chart where to run; beside the operator, the operator sets it.
	presentLabel = "nvidia.com/gpu.present"
)

// gpuTaint keeps pods off that ask for no accelerator; NVIDIA's own software tolerates it.
var gpuTaint = corev1.Taint{Key: gpu.ResourceName, Value: "present", Effect: corev1.TaintEffectNoSchedule}

// NodeMark is what nodes with accelerators are marked with.
type NodeMark struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Accelerator is what the spec calls them.
	Accelerator string
	// Taint keeps pods off the node that ask for no accelerator. It is for workers alone: where the head has it too,
	// the cluster's own pods find no place.
	Taint bool
}

// MarkNode labels a node with its accelerator, and taints it where that is wanted. It changes nothing on a node that is
// marked already.
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

// newMarkPatch is the merge patch that marks a node, nil where it is marked. Taints are replaced as a whole, so that
// the patch holds for the revision only that they were read at.
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

// toLabelValue is an accelerator's name as a label's value may be.
func toLabelValue(accelerator string) string { return strings.TrimRight(accelerator, "-_.") }

// FindUnverifiedNodes are those of the nodes, given with the incarnations of their machines, on which no workload of
// that incarnation has got an accelerator yet. A node that is not there is not among them.
func FindUnverifiedNodes(ctx context.Context, c *Client, incarnations map[string]string) ([]string, error) {
	nodes, err := kube.ListNodes(ctx, c.core)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, name := range slices.Sorted(maps.Keys(incarnations)) {
		if n := nodes[name]; n != nil && n.Annotations[VerifiedAnnotation] != incarnations[name] {
			left = append(left, name)
		}
	}
	return left, nil
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
		return fmt.Errorf("noting on node %s that a workload got an accelerator: %w", node, err)
	}
	return nil
}
