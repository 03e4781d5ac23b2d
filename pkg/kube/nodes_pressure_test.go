package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// pressed returns a Ready node with the condition DiskPressure.
func pressed(status corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
			{Type: corev1.NodeDiskPressure, Status: status, Reason: "KubeletHasDiskPressure"},
		}}}
}

func TestNodeUnderPressureIsNotReady(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := AwaitNodeReady(ctx, fake.NewClientset(pressed(corev1.ConditionTrue)), "n", nil)
	var late *NotReady
	if !errors.As(err, &late) || !strings.Contains(err.Error(),
		"takes no pods: DiskPressure (KubeletHasDiskPressure)") {
		t.Errorf("got %v", err)
	}
	if err := AwaitNodeReady(t.Context(), fake.NewClientset(pressed(corev1.ConditionFalse)), "n", nil); err != nil {
		t.Errorf("without pressure: %v", err)
	}
	if seen := toNodeObservation(pressed(corev1.ConditionTrue)); !seen.Ready ||
		seen.Pressure != "DiskPressure (KubeletHasDiskPressure)" {
		t.Errorf("observed as %+v", seen)
	}
}

func TestNodeThatIsBeingDeletedIsObserved(t *testing.T) {
	n := node("n", corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue})
	if toNodeObservation(n).Deleting {
		t.Error("a Node counts as being deleted")
	}
	now := metav1.Now()
	n.DeletionTimestamp = &now
	if seen := toNodeObservation(n); !seen.Deleting || !seen.Ready {
		t.Errorf("got %+v", seen)
	}
}
