package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// leaseInterval is how often AwaitHeartbeat reads a lease. A kubelet renews its own every ten seconds.
const leaseInterval = 2 * time.Second

// Heartbeat is when the kubelet of a node has last renewed its lease, by the node's own clock; zero if it has none.
type Heartbeat time.Time

// ReadHeartbeat reads the last heartbeat of a node.
func ReadHeartbeat(ctx context.Context, cs kubernetes.Interface, node string) (Heartbeat, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lease, err := cs.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return Heartbeat{}, nil
	case err != nil:
		return Heartbeat{}, fmt.Errorf("reading the heartbeat of node %s: %w", node, err)
	case lease.Spec.RenewTime == nil:
		return Heartbeat{}, nil
	}
	return Heartbeat(lease.Spec.RenewTime.Time), nil
}

// AwaitHeartbeat waits until a node has a heartbeat other than the last one: until then, what the API says of the node
// can be as old as the state that was restored. It does not wait for a node that had none.
func AwaitHeartbeat(ctx context.Context, cs kubernetes.Interface, node string, last Heartbeat) error {
	if time.Time(last).IsZero() {
		return nil
	}
	var failed error
	err := wait.PollUntilContextCancel(ctx, leaseInterval, true, func(ctx context.Context) (bool, error) {
		var now Heartbeat
		now, failed = ReadHeartbeat(ctx, cs, node)
		return failed == nil && !time.Time(now).Equal(time.Time(last)), nil
	})
	if err == nil {
		return nil
	}
	state := "its kubelet has not renewed its lease"
	if failed != nil {
		state = failed.Error()
	}
	return &NotReady{Node: node, State: state, Cause: context.Cause(ctx)}
}
