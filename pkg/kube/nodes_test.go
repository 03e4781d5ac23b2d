package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func node(name string, conditions ...corev1.NodeCondition) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Conditions: conditions}}
}

func cond(t corev1.NodeConditionType, s corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
	return corev1.NodeCondition{Type: t, Status: s, Reason: reason, Message: message}
}

var isReady = cond(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "")

// startWait waits for node "a" with a long deadline and sends the progress to a channel.
func startWait(t *testing.T, cs kubernetes.Interface) (progress <-chan string, result <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	s, r := make(chan string, 20), make(chan error, 1)
	go func() { r <- AwaitNodeReady(ctx, cs, "a", func(m string) { s <- m }) }()
	return s, r
}

func expect(t *testing.T, progress <-chan string, part string) {
	t.Helper()
	select {
	case m := <-progress:
		if !strings.Contains(m, part) {
			t.Errorf("progress %q, want %q", m, part)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no progress with %q", part)
	}
}

func TestReadyNodeEndsTheWaitAtOnce(t *testing.T) {
	if err := AwaitNodeReady(t.Context(), fake.NewClientset(node("b"), node("a", isReady)), "a", nil); err != nil {
		t.Error(err)
	}
}

func TestWaitFollowsANodeUntilItIsReady(t *testing.T) {
	cs := fake.NewClientset(node("b", isReady))
	watching := make(chan struct{}, 1)
	cs.PrependWatchReactor("nodes", func(action clienttesting.Action) (bool, watch.Interface, error) {
		w, err := cs.Tracker().Watch(action.GetResource(), "")
		watching <- struct{}{}
		return true, w, err
	})
	progress, result := startWait(t, cs)
	<-watching
	nodes := cs.CoreV1().Nodes()
	// another node's event
	if _, err := nodes.Update(t.Context(), node("b", isReady), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes.Create(t.Context(), node("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, progress, "has not registered")
	expect(t, progress, "has not reported")
	if _, err := nodes.Update(t.Context(), node("a",
		cond(corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady", "cni plugin not initialized")),
		metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, progress, "Ready is False (KubeletNotReady): cni plugin not initialized")
	if _, err := nodes.Update(t.Context(), node("a", isReady), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestWaitRetriesAfterAPIErrors(t *testing.T) {
	cs := fake.NewClientset(node("a", isReady))
	failures := 2
	cs.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		failures--
		return failures >= 0, nil, apierrors.NewServiceUnavailable("etcd has no leader")
	})
	progress, result := startWait(t, cs)
	expect(t, progress, "etcd has no leader")
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestEndedWatchIsRestarted(t *testing.T) {
	cs := fake.NewClientset()
	watches := 0
	cs.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) {
		if watches++; watches == 3 {
			if err := cs.Tracker().Add(node("a", isReady)); err != nil {
				t.Error(err)
			}
		}
		w := watch.NewFakeWithChanSize(1, false)
		if watches == 2 { // as if the resource version were too old
			w.Error(&apierrors.NewResourceExpired("too old").ErrStatus)
		}
		w.Stop()
		return true, w, nil
	})
	_, result := startWait(t, cs)
	if err := <-result; err != nil || watches != 3 {
		t.Errorf("%d watches, %v", watches, err)
	}
}

func TestDeniedAccessEndsTheWait(t *testing.T) {
	cs := fake.NewClientset()
	cs.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("who are you"))
	})
	_, result := startWait(t, cs)
	if err := <-result; !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestDeadlineReportsTheLastState(t *testing.T) {
	unhealthy := node("a", cond(corev1.NodeReady, corev1.ConditionUnknown, "NodeStatusUnknown",
		"Kubelet stopped posting"),
		cond(corev1.NodeDiskPressure, corev1.ConditionTrue, "KubeletHasDiskPressure", ""), cond(corev1.NodePIDPressure,
			corev1.ConditionFalse, "", ""))
	for name, tt := range map[string]struct {
		cs   kubernetes.Interface
		want string
	}{
		"absent": {fake.NewClientset(node("b", isReady)), "has not registered"},
		"unhealthy": {fake.NewClientset(unhealthy), "Ready is Unknown (NodeStatusUnknown): Kubelet stopped posting; " +
			"DiskPressure (KubeletHasDiskPressure)"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := AwaitNodeReady(ctx, tt.cs, "a", nil)
		cancel()
		var late *NotReady
		if !errors.As(err, &late) || late.Node != "a" || !strings.Contains(late.State, tt.want) ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCheckNodesReady(t *testing.T) {
	cs := fake.NewClientset(node("a", isReady),
		node("b", cond(corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady", "")), node("stranger", isReady))
	ready, not, err := CheckNodesReady(t.Context(), cs, []string{"c", "a", "b"})
	if err != nil || len(ready) != 1 || ready[0] != "a" || len(not) != 2 || not["c"] == "" ||
		!strings.Contains(not["b"], "KubeletNotReady") {
		t.Errorf("got %v, %v, %v", ready, not, err)
	}
}

func TestDeleteNodeRemovesOnlyItsPassword(t *testing.T) {
	secret := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}}
	}
	cs := fake.NewClientset(node("a"), node("b"), secret("a.node-password.rke2"), secret("b.node-password.rke2"))
	for range 2 { // the second time it does not exist
		if err := DeleteNode(t.Context(), cs, "a"); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := cs.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 || nodes.Items[0].Name != "b" {
		t.Errorf("nodes: %v, %v", nodes, err)
	}
	secrets, err := cs.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(secrets.Items) != 1 || secrets.Items[0].Name != "b.node-password.rke2" {
		t.Errorf("secrets: %v, %v", secrets, err)
	}
}

func TestDeleteNodeReportsAFailedDeletion(t *testing.T) {
	cs := fake.NewClientset(node("a"))
	cs.PrependReactor("delete", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("no quorum"))
	})
	if err := DeleteNode(t.Context(), cs, "a"); err == nil || !strings.Contains(err.Error(), "no quorum") ||
		!strings.Contains(err.Error(), "node a") {
		t.Errorf("got %v", err)
	}
}
