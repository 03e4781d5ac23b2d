package head

import (
	"reflect"
	"testing"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/node"
)

func newNode(deleted bool, finalizers ...string) *kubeapi.Node {
	n := &kubeapi.Node{}
	n.Metadata.Name, n.Metadata.Finalizers = "n1", finalizers
	if deleted {
		n.Metadata.DeletionTimestamp = "2026-11-29T04:00:00Z"
	}
	return n
}

func finalizersOf(patch map[string]any) []string {
	metadata, _ := patch["metadata"].(map[string]any)
	finalizers, _ := metadata["finalizers"].([]string)
	return finalizers
}

func TestNodesGetTheFinalizersOfRKE2(t *testing.T) {
	const foreign = "example.com/keep"
	patch := nodePatch(newNode(false, foreign), false)
	want := []string{foreign, etcdFinalizer, nodeFinalizer}
	if got := finalizersOf(patch); !reflect.DeepEqual(got, want) {
		t.Errorf("a new Node gets %v, want %v", got, want)
	}
	if patch := nodePatch(newNode(false, want...), false); patch != nil {
		t.Errorf("a complete Node is changed: %v", patch)
	}
	if got := finalizersOf(nodePatch(newNode(true, want...), false)); !reflect.DeepEqual(got, []string{foreign}) {
		t.Errorf("a deleted agent keeps %v", got)
	}
	if patch := nodePatch(newNode(true), false); patch != nil {
		t.Errorf("a deleted Node gets %v", patch)
	}
}

func TestDeletedNodeOfTheOnlyServerKeepsEtcdsFinalizer(t *testing.T) {
	n := newNode(true, etcdFinalizer, nodeFinalizer)
	n.Metadata.Labels = roleLabels
	if got := finalizersOf(nodePatch(n, true)); !reflect.DeepEqual(got, []string{etcdFinalizer}) {
		t.Errorf("it keeps %v", got)
	}
	n.Metadata.Finalizers = []string{etcdFinalizer}
	if patch := nodePatch(n, true); patch != nil {
		t.Errorf("it is changed again: %v", patch)
	}
	if !isBeingRemoved(n) {
		t.Error("its static pods stay")
	}
}

func TestServerLeavesEtcdByAnnotation(t *testing.T) {
	n := newNode(false)
	if isBeingRemoved(n) {
		t.Error("a Node that nobody removes loses its static pods")
	}
	n.Metadata.Annotations = map[string]string{removalAnnotation: "true"}
	if !isBeingRemoved(n) {
		t.Error("with the annotation the static pods stay")
	}
}

func TestInitialisedNodeLosesOnlyTheTaintOfTheCloudController(t *testing.T) {
	own := kubeapi.Taint{Key: "gpu", Value: "present", Effect: "NoSchedule"}
	n := newNode(false)
	n.Spec.Taints = []kubeapi.Taint{{Key: node.UninitializedTaint, Value: "true", Effect: "NoSchedule"}, own}
	if !isUninitialized(n) {
		t.Fatal("the taint is not seen")
	}
	patch := initialisedPatch(n)
	spec := patch["spec"].(map[string]any)
	if !reflect.DeepEqual(spec["taints"], []kubeapi.Taint{own}) {
		t.Errorf("taints left: %v", spec["taints"])
	}
	if !isUninitialized(n) {
		t.Error("the Node itself was changed")
	}
}
