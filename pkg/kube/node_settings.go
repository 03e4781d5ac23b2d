package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// UpdateNodeSettings sets the wanted labels and taints of a node, and removes those of given that are not wanted. It
// leaves all others alone, and sends nothing if nothing differs.
func UpdateNodeSettings(ctx context.Context, cs kubernetes.Interface, node string, given,
	wanted api.NodeSettings) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		n, err := getNode(ctx, cs, node)
		if err != nil {
			return err
		}
		patch := newSettingsPatch(n, given, wanted)
		if patch == nil {
			return nil
		}
		return mergeNode(ctx, cs, node, patch)
	})
	if err != nil {
		return fmt.Errorf("updating labels and taints of node %s: %w", node, err)
	}
	return nil
}

func mergeNode(ctx context.Context, cs kubernetes.Interface, node string, change map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	patch, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = cs.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// newSettingsPatch returns the merge patch for a node; nil if nothing differs. A merge patch replaces all taints, so it
// is only valid for the resource version that it was made from.
func newSettingsPatch(n *corev1.Node, given, wanted api.NodeSettings) map[string]any {
	labels := map[string]any{}
	for key := range given.Labels {
		_, is := wanted.Labels[key]
		if _, has := n.Labels[key]; has && !is {
			labels[key] = nil
		}
	}
	for key, value := range wanted.Labels {
		if is, has := n.Labels[key]; !has || is != value {
			labels[key] = value
		}
	}
	metadata, patch := map[string]any{}, map[string]any{}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	if taints := mergeTaints(n.Spec.Taints, parseTaints(given.Taints), parseTaints(wanted.Taints)); !slices.EqualFunc(
		taints, n.Spec.Taints, isSameTaint) {
		patch["spec"] = map[string]any{"taints": taints}
	}
	if len(metadata)+len(patch) == 0 {
		return nil
	}
	metadata["resourceVersion"] = n.ResourceVersion
	patch["metadata"] = metadata
	return patch
}

// mergeTaints returns the taints of a node without those of given that are not wanted, and with the wanted ones. Two
// taints with the same key and effect are the same one.
func mergeTaints(is, given, wanted []corev1.Taint) []corev1.Taint {
	find := func(in []corev1.Taint, t corev1.Taint) int {
		return slices.IndexFunc(in, func(other corev1.Taint) bool { return other.MatchTaint(&t) })
	}
	merged := []corev1.Taint{}
	for _, t := range is {
		if i := find(wanted, t); i >= 0 {
			t.Value = wanted[i].Value
		} else if find(given, t) >= 0 {
			continue
		}
		merged = append(merged, t)
	}
	for _, t := range wanted {
		if find(merged, t) < 0 {
			merged = append(merged, t)
		}
	}
	return merged
}

func isSameTaint(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }

// parseTaints parses taints of the form KEY=VALUE:EFFECT or KEY:EFFECT, which were validated when they were requested.
func parseTaints(texts []string) []corev1.Taint {
	var taints []corev1.Taint
	for _, text := range texts {
		rest, effect, _ := strings.Cut(text, ":")
		key, value, _ := strings.Cut(rest, "=")
		taints = append(taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	return taints
}

// formatTaints is the inverse of parseTaints.
func formatTaints(taints []corev1.Taint) []string {
	var texts []string
	for _, t := range taints {
		texts = append(texts, t.ToString())
	}
	return texts
}
