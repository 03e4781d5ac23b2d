package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// sweepBatch is the kind of activity that observes many clusters; the next sweep covers what it missed.
var sweepBatch = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 10 * time.Minute}

// singleTry is the kind of activity that the next sweep repeats: retries against a cloud that does not answer would
// hold up all clusters.
var singleTry = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 5 * time.Minute,
	attempts: 1}

const (
	// batchSize is the number of clusters that one activity observes, and batchesAtOnce the number of such activities
	// that run at the same time. A sweep over thousands of clusters then has some hundred history events.
	batchSize     = 100
	batchesAtOnce = 4
	// maxReported bounds the clusters in the result, which has to fit into a history event.
	maxReported = 500
)

// Sweep compares every cluster with its actual state and starts the operations that fix differences. Then it looks for
// orphans. A schedule starts it, and so do people.
func Sweep(ctx workflow.Context, in operation.SweepInput) (operation.SweepResult, error) {
	var names []string
	if err := etcdWrite.runForResult(ctx, "list the clusters", &names, sweepActivities.ListClusters,
		in.Cluster); err != nil {
		return operation.SweepResult{}, err
	}
	result := operation.SweepResult{Looked: len(names)}
	failures := sweepInBatches(ctx, in, names, &result)
	if in.Cluster != "" || ctx.Err() != nil {
		return result, failures.joinErrors()
	}
	found, err := collectOrphans(ctx)
	if ctx.Err() != nil {
		return result, err
	}
	result.Orphans, result.Unasked, result.Doubt = found.Orphans, found.Unasked, found.Doubt
	if err != nil {
		failures = append(failures, sweepFailure{"orphans", err})
	}
	for _, f := range failures {
		result.Failed = append(result.Failed, f.subject+": "+failureOf(f.err).Message)
	}
	return result, nil
}

// sweepFailure is what a sweep could not check, and why.
type sweepFailure struct {
	subject string
	err     error
}

type sweepFailures []sweepFailure

func (all sweepFailures) joinErrors() error {
	var errs []error
	for _, f := range all {
		errs = append(errs, f.err)
	}
	return errors.Join(errs...)
}

// sweepInBatches observes the clusters in batches and adds those with drift to the result. A batch that fails does not
// stop the others.
func sweepInBatches(ctx workflow.Context, in operation.SweepInput, names []string,
	result *operation.SweepResult) sweepFailures {
	var failures sweepFailures
	batches := newTaskGroup(ctx, batchesAtOnce)
	for batch := range slices.Chunk(names, batchSize) {
		batches.startTask(ctx, func(ctx workflow.Context) error {
			var drifted []operation.DriftedCluster
			if err := sweepBatch.runForResult(ctx, "observe clusters from "+batch[0], &drifted, sweepActivities.LookAt,
				observe.LookAtInput{Clusters: batch, Again: in.Again}); err != nil {
				failures = append(failures, sweepFailure{describeBatch(batch), err})
			}
			room := maxReported - len(result.Drifted)
			result.Drifted = append(result.Drifted, drifted[:min(room, len(drifted))]...)
			return nil
		})
	}
	if err := batches.awaitTasks(ctx); err != nil { // cancelled before its turn
		failures = append(failures, sweepFailure{"clusters", err})
	}
	return failures
}

func describeBatch(names []string) string {
	if len(names) == 1 {
		return "clusters " + names[0]
	}
	return "clusters " + names[0] + " to " + names[len(names)-1]
}

// collectOrphans finds orphans, and terminates those whose grace period is over.
func collectOrphans(ctx workflow.Context) (operation.OrphansResult, error) {
	found, err := findOrphans(ctx)
	if err != nil {
		return found, err
	}
	return found, terminateOrphans(ctx, singleTry, found.Orphans, newDueCheck(ctx))
}

func findOrphans(ctx workflow.Context) (found operation.OrphansResult, err error) {
	err = sweepBatch.runForResult(ctx, "find orphans", &found, sweepActivities.FindOrphans)
	return found, err
}

// newDueCheck returns a function that says whether the grace period of an orphan is over. It goes by the clock of the
// worker, which also set the period; Temporal may run on a machine with another clock.
func newDueCheck(ctx workflow.Context) func(api.Orphan) bool {
	if workflow.GetVersion(ctx, "orphans-due-by-the-worker", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		return func(o api.Orphan) bool { return o.Due }
	}
	now := workflow.Now(ctx)
	return func(o api.Orphan) bool { return !o.TerminateAt.IsZero() && !now.Before(o.TerminateAt) }
}

// Orphans lists the orphans, and terminates those that the input names by name or by the cloud's id.
func Orphans(ctx workflow.Context, in operation.OrphansInput) (operation.OrphansResult, error) {
	found, err := findOrphans(ctx)
	if err != nil {
		return found, err
	}
	isNamed := func(o api.Orphan) bool {
		return slices.Contains(in.Terminate, o.Name) || o.ID != "" && slices.Contains(in.Terminate, o.ID)
	}
	return found, terminateOrphans(ctx, sweepBatch, found.Orphans, isNamed)
}

// terminateOrphans terminates, side by side, the orphans that are due, and sets their state or error.
func terminateOrphans(ctx workflow.Context, kind activityKind, orphans []api.Orphan,
	isDue func(api.Orphan) bool) error {
	pending := make([]workflow.Future, len(orphans))
	for i, o := range orphans {
		if isDue(o) {
			pending[i] = kind.startActivity(ctx, o.Name+": terminate the orphan", sweepActivities.TerminateOrphan, o)
		}
	}
	for i, f := range pending {
		if f == nil {
			continue
		}
		err := f.Get(ctx, nil)
		switch {
		case temporal.IsCanceledError(err):
			return err
		case err != nil:
			orphans[i].State, orphans[i].Error = "", failureOf(err).Message
		default:
			orphans[i].State = "terminated"
		}
	}
	return nil
}
