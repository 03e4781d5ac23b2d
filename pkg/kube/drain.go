package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/pkg/await"
)

const (
	// minDrainPause and maxDrainPause bound the time between two rounds of evictions. It doubles while no pod leaves.
	minDrainPause = 500 * time.Millisecond
	maxDrainPause = 5 * time.Second
	// evictionsAtOnce is how many evictions of one drain run at the same time. client-go itself waits, within one call,
	// for a budget that the server is still processing.
	evictionsAtOnce = 8
	// minRoundTime is how long a round may take after the drain's timeout: a drain has at least one.
	minRoundTime = 30 * time.Second
	// silentNodeWait is how long a drain honours budgets on a node whose kubelet is silent. After that time Kubernetes
	// deletes the pods itself and regards no budget: DefaultTolerationSeconds gives each pod a toleration of 300 s for
	// the taint node.kubernetes.io/unreachable.
	silentNodeWait = 5 * time.Minute
	// stopSlack is added to the grace period of pods that are deleted by force.
	stopSlack = 30 * time.Second
	// MaxForcedWait bounds how long a drain by force waits, after its timeout, for pods to stop within their grace
	// periods.
	MaxForcedWait = time.Hour
)

// DrainOptions says how DrainNode drains a node.
type DrainOptions struct {
	// Timeout is how long the drain waits for the pods, and honours their disruption budgets.
	Timeout time.Duration
	// Force deletes the pods that are left then, whatever their budgets say. They keep their grace periods.
	Force bool
	// Reason says for people why the node is drained; the Node shows it.
	Reason string
	// Report gets progress for people; it may be nil.
	Report func(string)
}

// DrainOutcome has the pods that did not leave by eviction.
type DrainOutcome struct {
	// Deleted are those that were deleted by force.
	Deleted []RemainingPod
	// Abandoned are those that are still there: their node is silent, so nothing stops them, or they did not stop
	// within their grace period after they were deleted by force.
	Abandoned []RemainingPod
}

// DrainNode cordons a node and evicts its pods within their disruption budgets, except static pods and those of
// DaemonSets. The node is to go away, so it evicts pods with emptyDir volumes and pods without a controller too. It
// returns once the pods are gone; a node that does not exist is a success. If pods are left at the timeout, the error
// is a *DrainBlocked, or the drain goes on by force. If ctx ends, or the API server does not answer at the timeout, it
// is another error. The node stays cordoned: see UncordonNode.
//
// If the node's kubelet is silent, nothing there can confirm that a pod has stopped: evicted pods then count as gone,
// so that their controllers replace them elsewhere, as in Cluster API.
//
// This is not k8s.io/kubectl/pkg/drain. In v0.36.3 its evictions have no UID precondition, so that they can hit a newer
// pod of the same name. It says which budget holds a pod only as text on a stream, and sleeps through the end of its
// context. Only its choice of pods (GetPodsForDeletion) could be used: that requests the DaemonSet of each pod anew in
// each round. For this, skyd would link 100 more packages (kustomize and cobra commands among them), be 3 MB larger,
// and need 13 MB more memory at its start.
func DrainNode(ctx context.Context, cs kubernetes.Interface, node string, o DrainOptions) (DrainOutcome, error) {
	d := &drain{cs: cs, node: node, options: o, evicted: map[types.UID]bool{}, budgets: map[types.UID]string{}}
	left, err := d.runRounds(ctx, o.Timeout)
	if err != nil || len(left) == 0 {
		return d.outcome, err
	}
	if !o.Force {
		return d.outcome, &DrainBlocked{Node: node, After: o.Timeout, Pods: left}
	}
	d.forced, d.outcome.Deleted = true, left
	wait := time.Duration(0)
	for _, p := range left {
		wait = max(wait, p.grace)
	}
	left, err = d.runRounds(ctx, min(wait+stopSlack, MaxForcedWait))
	d.outcome.Abandoned = append(d.outcome.Abandoned, left...)
	return d.outcome, err
}

// drain is the drain of one node.
type drain struct {
	cs      kubernetes.Interface
	node    string
	options DrainOptions
	// forced: pods are deleted, not evicted.
	forced bool
	// evicted are the pods whose eviction was accepted.
	evicted map[types.UID]bool
	// budgets are the names of the budgets of pods that could not be evicted.
	budgets map[types.UID]string
	outcome DrainOutcome
}

// runRounds evicts until no pod is left, and returns those that are left at the timeout.
func (d *drain) runRounds(ctx context.Context, timeout time.Duration) ([]RemainingPod, error) {
	end := time.Now().Add(timeout)
	waitCtx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var left []RemainingPod
	for pause := minDrainPause; ; pause = min(2*pause, maxDrainPause) {
		before := len(left)
		var err error
		left, err = d.runRound(ctx, end)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("draining node %s: %w", d.node, context.Cause(ctx))
		case err == nil && len(left) == 0:
			return nil, nil
		case err == nil && d.options.Report != nil:
			d.options.Report(describeDrain(left))
		}
		if len(left) < before {
			pause = minDrainPause
		}
		if await.Pause(waitCtx, pause) == nil {
			continue
		}
		if ctx.Err() == nil && err == nil {
			return left, nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("draining node %s: %w", d.node, err)
	}
}

// runRound evicts every pod of the node once, and returns those that are left.
func (d *drain) runRound(ctx context.Context, end time.Time) ([]RemainingPod, error) {
	if least := time.Now().Add(minRoundTime); end.Before(least) {
		end = least
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	n, err := ensureCordoned(ctx, d.cs, d.node, d.options.Reason)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cordoning it: %w", err)
	}
	pods, err := listEvictablePods(ctx, d.cs, d.node)
	if err != nil {
		return nil, err
	}
	left := d.removePods(ctx, pods, n)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if since, silent := silentSince(n); silent && !d.forced && time.Since(since) > silentNodeWait {
		d.outcome.Abandoned = left
		return nil, nil
	}
	return left, nil
}

// removePods evicts or deletes pods, several at once, and returns those that are left.
func (d *drain) removePods(ctx context.Context, pods []corev1.Pod, n *corev1.Node) []RemainingPod {
	_, silent := silentSince(n)
	errs := make([]error, len(pods))
	var group errgroup.Group
	group.SetLimit(evictionsAtOnce)
	for i := range pods {
		if pods[i].DeletionTimestamp != nil || d.evicted[pods[i].UID] {
			continue
		}
		group.Go(func() error {
			errs[i] = d.removePod(ctx, &pods[i])
			return nil
		})
	}
	_ = group.Wait()
	var left []RemainingPod
	for i := range pods {
		pod := &pods[i]
		if d.evicted[pod.UID] = errs[i] == nil; apierrors.IsNotFound(errs[i]) || errs[i] == nil && silent {
			continue
		}
		p := newRemainingPod(pod, errs[i])
		if errs[i] != nil {
			p.Budget = d.budgetOf(ctx, pod, errs[i])
		}
		left = append(left, p)
	}
	return left
}

func (d *drain) removePod(ctx context.Context, pod *corev1.Pod) error {
	if d.forced {
		return deletePod(ctx, d.cs, pod)
	}
	return evictPod(ctx, d.cs, pod)
}

// budgetOf returns the names of the budgets that keep a pod from being evicted; empty if that was not the reason.
func (d *drain) budgetOf(ctx context.Context, pod *corev1.Pod, err error) string {
	byBudget := apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause)
	if !byBudget && !isInternalError(err) {
		return ""
	}
	names, known := d.budgets[pod.UID]
	if !known {
		names = nameBudgets(ctx, d.cs, pod)
		d.budgets[pod.UID] = names
	}
	// The API server refuses to evict a pod with several budgets: that is an internal error without causes.
	if !byBudget && !strings.Contains(names, ",") {
		return ""
	}
	return names
}

func isInternalError(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && status.Status().Code == http.StatusInternalServerError
}

// silentSince returns since when a node's kubelet is silent: the control plane then sets its readiness to Unknown.
func silentSince(n *corev1.Node) (since time.Time, silent bool) {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown {
			return c.LastTransitionTime.Time, true
		}
	}
	return time.Time{}, false
}
