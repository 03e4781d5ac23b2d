package kube

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// DrainAnnotation is on a Node that skyctl cordoned for a drain; its value says why. A Node that a person cordoned does
// not have it, so UncordonNode leaves that one as it is.
const DrainAnnotation = "skyctl.sky-shift.org/draining"

// ensureCordoned returns a node, and cordons it unless it is cordoned already.
func ensureCordoned(ctx context.Context, cs kubernetes.Interface, node, reason string) (*corev1.Node, error) {
	n, err := getNode(ctx, cs, node)
	if err != nil || n.Spec.Unschedulable {
		return n, err
	}
	return patchNode(ctx, cs, node, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{DrainAnnotation: reason}},
		"spec":     map[string]any{"unschedulable": true},
	})
}

// UncordonNode makes a node that DrainNode cordoned schedulable again. It does nothing if a person cordoned it, or if
// it does not exist.
func UncordonNode(ctx context.Context, cs kubernetes.Interface, node string) error {
	n, err := getNode(ctx, cs, node)
	if err == nil {
		if _, ours := n.Annotations[DrainAnnotation]; !ours {
			return nil
		}
		_, err = patchNode(ctx, cs, node, map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{DrainAnnotation: nil}},
			"spec":     map[string]any{"unschedulable": false},
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("uncordoning node %s: %w", node, err)
	}
	return nil
}

func patchNode(ctx context.Context, cs kubernetes.Interface, node string, change map[string]any) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	patch, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return cs.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}
