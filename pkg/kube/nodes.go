package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

const (
	// firstRetryPause and maxRetryPause are the shortest and longest pause after an error of the API server.
	firstRetryPause = 200 * time.Millisecond
	maxRetryPause   = 5 * time.Second
	// watchTimeout bounds one watch. The node is then listed again, so a watch that went silent does no harm.
	watchTimeout = 30 * time.Second
)

// NotReady reports that a node was not Ready in time.
type NotReady struct {
	Node string
	// State is the last known state: not registered, its conditions, or why the API server did not answer.
	State string
	Cause error
}

func (e *NotReady) Error() string {
	return fmt.Sprintf("node %s was not Ready in time: %s", e.Node, e.State)
}

func (e *NotReady) Unwrap() error { return e.Cause }

// AwaitNodeReady returns as soon as a node is Ready. It retries after errors of the API server, except if access is
// denied. If ctx ends first, the error is a *NotReady. It calls progress, which may be nil, with each new state of the
// node. NodeWatches does the same for many nodes of a cluster.
func AwaitNodeReady(ctx context.Context, cs kubernetes.Interface, nodeName string, progress func(string)) error {
	w := nodeWait{name: nodeName, progress: progress, state: notChecked}
	selector := fields.OneTermEqualSelector("metadata.name", nodeName).String()
	err := followNodes(ctx, selector, nodeFollower{
		client: func(context.Context) kubernetes.Interface { return cs },
		list: func(nodes []corev1.Node) bool {
			i := slices.IndexFunc(nodes, func(n corev1.Node) bool { return n.Name == nodeName })
			if i < 0 {
				w.reportState(notRegistered)
				return false
			}
			return w.checkNode(&nodes[i])
		},
		change: func(node *corev1.Node, deleted bool) bool {
			switch {
			case node.Name != nodeName:
				return false
			case deleted:
				w.reportState(nodeDeleted)
				return false
			}
			return w.checkNode(node)
		},
		silent: func(err error) { w.reportState(describeSilence(err)) },
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &NotReady{Node: nodeName, State: w.state, Cause: context.Cause(ctx)}
	}
	return fmt.Errorf("waiting for node %s: %w", nodeName, err)
}

// The states of a node that has no conditions.
const (
	notChecked    = "it was not checked"
	notRegistered = "it has not registered yet"
	nodeDeleted   = "it was deleted"
)

func describeSilence(err error) string { return "the API server does not answer: " + err.Error() }

// nodeWait is the wait for one node.
type nodeWait struct {
	name     string
	progress func(string)
	state    string
}

func (w *nodeWait) reportState(state string) {
	if state != w.state && w.progress != nil {
		w.progress(state)
	}
	w.state = state
}

func (w *nodeWait) checkNode(node *corev1.Node) bool {
	ready, state := judgeNode(node)
	if !ready {
		w.reportState(state)
	}
	return ready
}

// nodeFollower gets the nodes and their changes. list and change return true to end.
type nodeFollower struct {
	// client returns the client for the next list and watch.
	client func(context.Context) kubernetes.Interface
	list   func([]corev1.Node) bool
	change func(node *corev1.Node, deleted bool) bool
	// silent gets each error of the API server, before the next try.
	silent func(error)
}

// followNodes lists and watches the nodes that match a selector, until f ends it or ctx does. Its error is that of ctx,
// or that access is denied.
func followNodes(ctx context.Context, selector string, f nodeFollower) error {
	pause := firstRetryPause
	for {
		done, err := listAndWatch(ctx, f.client(ctx), selector, f)
		switch {
		case done:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			pause = firstRetryPause
			continue
		case apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err):
			return err
		}
		f.silent(err)
		_ = await.Pause(ctx, pause) // the next round reports the end of ctx
		pause = min(pause*2, maxRetryPause)
	}
}

// listAndWatch lists the nodes and then watches them until f ends it or the watch ends.
func listAndWatch(ctx context.Context, cs kubernetes.Interface, selector string, f nodeFollower) (done bool,
	err error) {
	options := metav1.ListOptions{FieldSelector: selector}
	listCtx, cancelList := context.WithTimeout(ctx, callTimeout)
	defer cancelList()
	list, err := cs.CoreV1().Nodes().List(listCtx, options)
	if err != nil {
		return false, err
	}
	if f.list(list.Items) {
		return true, nil
	}
	watchCtx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	options.ResourceVersion = list.ResourceVersion
	events, err := cs.CoreV1().Nodes().Watch(watchCtx, options)
	if err != nil {
		if watchCtx.Err() != nil && ctx.Err() == nil {
			return false, nil
		}
		return false, err
	}
	defer events.Stop()
	return passEvents(watchCtx, events, f)
}

func passEvents(ctx context.Context, events watch.Interface, f nodeFollower) (done bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case e, ok := <-events.ResultChan():
			if !ok {
				return false, nil
			}
			if e.Type == watch.Error {
				return false, apierrors.FromObject(e.Object)
			}
			node, isNode := e.Object.(*corev1.Node)
			if isNode && f.change(node, e.Type == watch.Deleted) {
				return true, nil
			}
		}
	}
}

// judgeNode reports whether a node is Ready and takes pods, and if not, why.
func judgeNode(node *corev1.Node) (ready bool, state string) {
	ready, state = nodeReadiness(node)
	if pressure := nodePressure(node); ready && pressure != "" {
		return false, "it is Ready but takes no pods: " + pressure
	}
	return ready, state
}

// nodeReadiness reports whether a node is Ready, and if not, the state from its conditions.
func nodeReadiness(node *corev1.Node) (ready bool, state string) {
	for _, c := range node.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			return true, ""
		}
		state = fmt.Sprintf("Ready is %s", c.Status)
		if c.Reason != "" {
			state += " (" + c.Reason + ")"
		}
		if c.Message != "" {
			state += ": " + c.Message
		}
		return false, state + pressureSuffix(node)
	}
	return false, "its kubelet has not reported its status yet" + pressureSuffix(node)
}

// pressureSuffix returns the pressure of a node as the end of a sentence, or an empty string.
func pressureSuffix(node *corev1.Node) string {
	if found := nodePressure(node); found != "" {
		return "; " + found
	}
	return ""
}

// nodePressure returns the conditions other than Ready that keep pods off a node or evict them, with their reasons;
// empty if there are none.
func nodePressure(node *corev1.Node) string {
	var found []string
	for _, c := range node.Status.Conditions {
		switch c.Type {
		case corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable:
			if c.Status == corev1.ConditionTrue {
				found = append(found, fmt.Sprintf("%s (%s)", c.Type, c.Reason))
			}
		}
	}
	return strings.Join(found, "; ")
}

// CheckNodesReady returns which of the named nodes are Ready, in the order of the names, and why the others are not.
func CheckNodesReady(ctx context.Context, cs kubernetes.Interface, names []string) (ready []string,
	notReady map[string]string, err error) {
	nodes, err := ListNodes(ctx, cs)
	if err != nil {
		return nil, nil, err
	}
	notReady = map[string]string{}
	for _, name := range names {
		node, ok := nodes[name]
		if !ok {
			notReady[name] = "it is not in the cluster"
			continue
		}
		if ok, state := nodeReadiness(node); ok {
			ready = append(ready, name)
		} else {
			notReady[name] = state
		}
	}
	return ready, notReady, nil
}

// ListNodes returns the nodes of a cluster by name.
func ListNodes(ctx context.Context, cs kubernetes.Interface) (map[string]*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := cs.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing the cluster's nodes: %w", err)
	}
	nodes := make(map[string]*corev1.Node, len(list.Items))
	for i := range list.Items {
		nodes[list.Items[i].Name] = &list.Items[i]
	}
	return nodes, nil
}

// DeleteNode deletes a node from the cluster, and the secret in which RKE2 stores its password. It is not an error if
// they do not exist. The node's machine must be gone or its agent stopped; otherwise the node registers again.
func DeleteNode(ctx context.Context, cs kubernetes.Interface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodeErr := cs.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	secretErr := cs.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, name+".node-password.rke2",
		metav1.DeleteOptions{})
	var errs []error
	for _, err := range []error{nodeErr, secretErr} {
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("deleting node %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
