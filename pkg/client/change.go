package client

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// ChangeResult is a change that is recorded in etcd.
type ChangeResult struct {
	// Cluster is the cluster after the change, with its machines.
	Cluster *api.Cluster
	// Changed is false if the cluster was already asked for in this form.
	Changed bool
	// Unstarted is why Temporal could not be told; nil if it was. The change is recorded, and the next sweep starts
	// what it needs.
	Unstarted error
}

// ChangeSpec changes the spec of a cluster as a person has seen it, or the marks on its machines, and tells the
// operation that runs on it, or starts Converge. change may be called several times. If another change was faster, the
// error is a *store.SpecConflictError; if the cluster cannot change now, a *store.UnchangeableError. Any error
// means that nothing was written, or says that this is unknown.
func (c *Client) ChangeSpec(ctx context.Context, seen *api.Cluster,
	change func(*api.Cluster) error) (ChangeResult, error) {
	s, t, err := c.connectServers(ctx)
	if err != nil {
		return ChangeResult{}, err
	}
	if err := refuseHomeInDoubt(ctx, s); err != nil {
		return ChangeResult{}, err
	}
	marked := false
	changed, err := s.UpdateSpec(ctx, seen.Ref(), seen.Metadata.Generation, func(cl *api.Cluster) error {
		before := countMarks(cl)
		err := change(cl)
		marked = countMarks(cl) != before
		return err
	})
	if isClusterMissing(err) {
		if _, other := s.ReadCluster(ctx, seen.Metadata.Name); other == nil {
			return ChangeResult{}, &ClusterReplacedError{Name: seen.Metadata.Name}
		}
	}
	if err != nil {
		return ChangeResult{}, err
	}
	result := ChangeResult{Cluster: changed, Changed: marked || changed.Metadata.Generation != seen.Metadata.Generation}
	unreached := changed.Status.ObservedGeneration < changed.Metadata.Generation
	if (result.Changed || unreached) && changed.Status.Phase != api.PhaseStopped { // its start reads the spec
		result.Unstarted = c.signalConverge(ctx, t, changed)
	}
	return result, nil
}

// countMarks counts what asks for the removal or the replacement of machines. Marks are only added.
func countMarks(c *api.Cluster) int {
	n := 0
	for _, m := range c.Status.Machines {
		if m.Leaving != "" {
			n += 2 // it takes the place of the other mark
		} else if m.ReplaceAsked {
			n++
		}
	}
	return n
}

// signalConverge tells Temporal that a cluster has changed, with patience for one that is only slow.
func (c *Client) signalConverge(ctx context.Context, t client.Client, cl *api.Cluster) error {
	input := operation.ConvergeInput{Cluster: cl.Ref(), Again: cl.Status.Phase == api.PhaseError}
	err := c.callTemporal(ctx, 2*dialTimeout, func(ctx context.Context) error {
		return start.SignalConverge(ctx, t, c.cfg.Temporal.TaskQueue, convergeSummary(cl), input)
	})
	return c.toTemporalError(ctx, err)
}

func convergeSummary(c *api.Cluster) string {
	return fmt.Sprintf("Converge %s to generation %d", c.Metadata.Name, c.Metadata.Generation)
}

// Goal is what the wait for a change waits for.
type Goal struct {
	// Name says it for people: "at 5 machines".
	Name string
	// IsReached judges a cluster by what the change is about. Nil waits for the generation: for all that people have
	// changed until then, such as another pool whose cloud has no machines left.
	IsReached func(*api.Cluster) bool
}

// AwaitChange follows a cluster after a change until it has reached the goal.
// The error is an OperationFailedError if the cluster goes to ERROR or its operation fails, and a WaitTimeoutError
// after limit, if that is above 0. The wait survives an outage of the servers; while no operation runs, it says what
// starts one.
func (c *Client) AwaitChange(ctx context.Context, changed *api.Cluster, goal Goal, limit time.Duration,
	see func(Progress)) (*api.Cluster, error) {
	name := changed.Metadata.Name
	failed := func(cl *api.Cluster, why string) error {
		return &OperationFailedError{Cluster: name, Operation: "changing", Failure: cl.Status.Failure, Reason: why}
	}
	g := waitGoal{
		name: goal.Name, operation: "changing", gone: &ClusterDeletedError{Name: name},
		judge: func(cl *api.Cluster) (bool, error) {
			switch {
			case cl.Status.Phase == api.PhaseDeleting:
				return true, &ConflictError{Name: name, Phase: api.PhaseDeleting}
			case cl.Status.Phase == api.PhaseStopped:
				return true, &StoppedError{Name: name}
			case cl.Status.Phase == api.PhaseError && changed.Status.Phase != api.PhaseError:
				return true, failed(cl, "the cluster went to ERROR")
			case cl.Status.Phase == api.PhaseError:
				return false, nil
			case goal.IsReached != nil:
				return goal.IsReached(cl), nil
			}
			return cl.Status.ObservedGeneration >= changed.Metadata.Generation, nil
		},
		missed: func(cl *api.Cluster, ended error) error { return failed(cl, failureReason(ended)) },
		explainIdle: func(cl *api.Cluster) string {
			switch {
			case !cl.Status.PausedAt.IsZero():
				return "waiting: repairs are paused; to resume them: skyctl resume reconcile " + name
			case cl.Status.Phase == api.PhaseError:
				return ""
			}
			return "waiting for the next sweep, which continues the change; to do it now: skyctl reconcile " + name
		},
	}
	var reached *api.Cluster
	err := c.RetryWhileUnreachable(ctx, newProgressNotifier(see, changed), func() (err error) {
		reached, err = c.followCluster(ctx, changed.Ref(), limit, g, see)
		return err
	})
	return reached, err
}
