package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

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

// countedAPI is an API server that counts lists and watches.
type countedAPI struct {
	*fake.Clientset
	lists, watches, clients atomic.Int32
	watching                chan struct{}
	listError               atomic.Pointer[error]
}

func newCountedAPI(nodes ...runtime.Object) *countedAPI {
	api := &countedAPI{Clientset: fake.NewClientset(nodes...), watching: make(chan struct{}, 100)}
	api.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		api.lists.Add(1)
		if err := api.listError.Load(); err != nil {
			return true, nil, *err
		}
		return false, nil, nil
	})
	api.PrependWatchReactor("nodes", func(action clienttesting.Action) (bool, watch.Interface, error) {
		w, err := api.Tracker().Watch(action.GetResource(), "")
		api.watches.Add(1)
		api.watching <- struct{}{}
		return true, w, err
	})
	return api
}

func (c *countedAPI) failLists(err error) {
	if err == nil {
		c.listError.Store(nil)
		return
	}
	c.listError.Store(&err)
}

func (c *countedAPI) newClient(context.Context) (kubernetes.Interface, error) {
	c.clients.Add(1)
	return c.Clientset, nil
}

func (c *countedAPI) putNode(t *testing.T, name string, conditions ...corev1.NodeCondition) {
	t.Helper()
	_, err := c.CoreV1().Nodes().Create(t.Context(), node(name, conditions...), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = c.CoreV1().Nodes().Update(t.Context(), node(name, conditions...), metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWaitsForNodesOfAClusterShareOneWatch(t *testing.T) {
	const count = 50
	api, watches := newCountedAPI(), &NodeWatches{}
	var ended, registered sync.WaitGroup
	registered.Add(count)
	errs := make([]error, count)
	for i := range count {
		once := sync.OnceFunc(registered.Done)
		ended.Go(func() {
			errs[i] = watches.AwaitNodeReady(t.Context(), "u1", api.newClient, fmt.Sprintf("n%d", i),
				func(state string) {
					if strings.Contains(state, "has not registered") {
						once()
					}
				})
		})
	}
	<-api.watching
	registered.Wait()
	for i := range count {
		api.putNode(t, fmt.Sprintf("n%d", i))
		api.putNode(t, fmt.Sprintf("n%d", i), isReady)
	}
	ended.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if api.lists.Load() != 1 || api.watches.Load() != 1 || api.clients.Load() != 1 {
		t.Errorf("%d lists, %d watches, %d clients", api.lists.Load(), api.watches.Load(), api.clients.Load())
	}
	// The next wait looks again.
	if err := watches.AwaitNodeReady(t.Context(), "u1", api.newClient, "n7", nil); err != nil || api.lists.Load() != 2 {
		t.Errorf("%d lists: %v", api.lists.Load(), err)
	}
	if len(watches.byCluster) != 0 {
		t.Errorf("%d watches are left", len(watches.byCluster))
	}
}

func TestSharedWaitReportsStateAndDeadlineOfItsNode(t *testing.T) {
	api, watches := newCountedAPI(node("a", cond(corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady",
		"no cni"))),
		&NodeWatches{}
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	progress := make(chan string, 10)
	result := make(chan error, 1)
	go func() {
		result <- watches.AwaitNodeReady(ctx, "u1", api.newClient, "a", func(s string) { progress <- s })
	}()
	expect(t, progress, "no cni")
	cancel(late)
	var got *NotReady
	if err := <-result; !errors.As(err, &got) || !errors.Is(err, late) || !strings.Contains(err.Error(), "no cni") {
		t.Errorf("got %v", err)
	}
}

func TestSharedWatchConnectsAgainAfterAnError(t *testing.T) {
	api, watches := newCountedAPI(node("a", isReady)), &NodeWatches{}
	api.failLists(errors.New("connection refused"))
	progress := make(chan string, 10)
	result := make(chan error, 1)
	go func() {
		result <- watches.AwaitNodeReady(t.Context(), "u1", api.newClient, "a", func(s string) { progress <- s })
	}()
	expect(t, progress, "the API server does not answer: connection refused")
	api.failLists(nil)
	if err := <-result; err != nil {
		t.Error(err)
	}
	if n := api.clients.Load(); n < 2 {
		t.Errorf("%d clients: the address may have changed", n)
	}
}

func TestDeniedAccessAndMissingClientEndSharedWaits(t *testing.T) {
	api, watches := newCountedAPI(), &NodeWatches{}
	api.failLists(apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no")))
	err := watches.AwaitNodeReady(t.Context(), "u1", api.newClient, "a", nil)
	if !apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), "waiting for node a: ") {
		t.Errorf("got %v", err)
	}
	missing := errors.New("no kubeconfig")
	err = watches.AwaitNodeReady(t.Context(), "u1",
		func(context.Context) (kubernetes.Interface, error) { return nil, missing }, "a", nil)
	if err != missing {
		t.Errorf("got %v", err)
	}
}
