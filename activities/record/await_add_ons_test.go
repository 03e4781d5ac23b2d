package record

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newTaintedCluster returns a client of a cluster whose Node loses its taint at the given listing; 0 is never. It has
// no Deployments.
func newTaintedCluster(cleanAt int) *fake.Clientset {
	listings := 0
	client := fake.NewClientset()
	client.PrependReactor("list", "nodes", func(k8stesting.Action) (bool, runtime.Object, error) {
		listings++
		node := corev1.Node{}
		node.Name = "n"
		if cleanAt == 0 || listings < cleanAt {
			node.Spec.Taints = []corev1.Taint{{Key: "node.cloudprovider.kubernetes.io/uninitialized"}}
		}
		return true, &corev1.NodeList{Items: []corev1.Node{node}}, nil
	})
	client.PrependReactor("list", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "deployments"}, "")
	})
	return client
}

func TestCreateWaitsForAddOns(t *testing.T) {
	var reported []string
	condition := awaitAddOnsOf(t.Context(), newTaintedCluster(3), time.Millisecond,
		func(s string) { reported = append(reported, s) })
	if condition.Status != api.ConditionTrue || condition.Type != api.AddOnsReady {
		t.Errorf("got %+v", condition)
	}
	if len(reported) != 2 || !strings.Contains(reported[0], "has not initialized n") {
		t.Errorf("reported %q", reported)
	}
}

func TestAddOnsThatDoNotComeAreSaid(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	condition := awaitAddOnsOf(ctx, newTaintedCluster(0), time.Millisecond, func(string) {})
	if condition.Status != api.ConditionFalse || condition.Reason != "Missing" ||
		!strings.Contains(condition.Message, "has not initialized n") {
		t.Errorf("got %+v", condition)
	}
}
