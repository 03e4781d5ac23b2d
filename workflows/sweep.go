package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// sweepBatch is the kind of activity that looks at many clusters: what it did not get to is looked at the next time.
var sweepBatch = activityKind{once: 5 * time.Minute, silence: heartbeatTimeout, total: 10 * time.Minute}

// singleTry is for what the next sweep tries again: one that waited for a cloud that does not answer would hold up all
// clusters.
var singleTry = activityKind{once: 5 * time.Minute, silence: heartbeatTimeout, total: 5 * time.Minute, tries: 1}

const (
	// batchSize is how many clusters one activity looks at, batchesAtOnce how many of those run at a time. A sweep over
	// thousands of clusters has a history of some hundred events.
	batchSize     = 100
	batchesAtOnce = 4
	// maxReported bounds what a sweep returns: a result has to fit into a history.
	maxReported = 500
)

// Sweep compares every cluster with the world and starts what is to be done about a difference; then it looks for
// machines that belong to no cluster. It runs on a schedule, and when somebody asks.
func Sweep(ctx workflow.Context, in operation.SweepInput) (operation.SweepResult, error) {
	var names []string
	if err := etcdWrite.startActivity(ctx, "list the clusters", sweepActivities.ListClusters, in.Cluster).Get(ctx,
		&names); err != nil {
		return operation.SweepResult{}, err
	}
	r := operation.SweepResult{Looked: len(names)}
	all := sweepInBatches(ctx, in, names, &r)
	if in.Cluster != "" || ctx.Err() != nil {
		return r, all.joinErrors()
	}
	found, err := collectOrphans(ctx)
	if ctx.Err() != nil {
		return r, err
	}
	r.Doubt = found.Doubt
	if r.Orphans, r.Unasked = found.Orphans, found.Unasked; err != nil {
		all = append(all, sweepFailure{"machines of no cluster", err})
	}
	for _, m := range all {
		r.Failed = append(r.Failed, m.what+": "+failureOf(m.err).Message)
	}
	return r, nil
}

// sweepFailure is what a sweep could not look at, and why.
type sweepFailure struct {
	what string
	err  error
}

type sweepFailures []sweepFailure

func (all sweepFailures) joinErrors() error {
	var errs []error
	for _, m := range all {
		errs = append(errs, m.err)
	}
	return errors.Join(errs...)
}

// sweepInBatches looks at the clusters in batches, and returns those that failed, which keep no other from being looked
// at.
func sweepInBatches(ctx workflow.Context, in operation.SweepInput, names []string,
	r *operation.SweepResult) sweepFailures {
	var failed sweepFailures
	places := workflow.NewSemaphore(ctx, batchesAtOnce)
	all := workflow.NewWaitGroup(ctx)
	for ; len(names) > 0; names = names[min(batchSize, len(names)):] {
		these := activities.LookAtInput{Clusters: names[:min(batchSize, len(names))], Again: in.Again}
		what := "clusters " + these.Clusters[0]
		if n := len(these.Clusters); n > 1 {
			what += " to " + these.Clusters[n-1]
		}
		all.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer all.Done()
			if err := places.Acquire(ctx, 1); err != nil {
				failed = append(failed, sweepFailure{what, err})
				return
			}
			defer places.Release(1)
			var drifted []operation.DriftedCluster
			err := sweepBatch.startActivity(ctx, "look at clusters from "+these.Clusters[0], sweepActivities.LookAt,
				these).Get(ctx, &drifted)
			if err != nil {
				failed = append(failed, sweepFailure{what, err})
			}
			if room := maxReported - len(r.Drifted); len(drifted) > room {
				drifted = drifted[:room]
			}
			r.Drifted = append(r.Drifted, drifted...)
		})
	}
	all.Wait(ctx)
	return failed
}

// collectOrphans looks for orphans, and ends those whose time has come.
func collectOrphans(ctx workflow.Context) (operation.OrphansResult, error) {
	var found operation.OrphansResult
	if err := sweepBatch.startActivity(ctx, "look for orphans", sweepActivities.FindOrphans).Get(ctx,
		&found); err != nil {
		return found, err
	}
	return found, terminateOrphans(ctx, singleTry, found.Orphans, newDueCheck(ctx))
}

// newDueCheck says whether the time of an orphan has come. The clock is the one by which that time was set, the
// worker's: Temporal may run on a machine whose clock is another.
func newDueCheck(ctx workflow.Context) func(api.Orphan) bool {
	if workflow.GetVersion(ctx, "orphans-due-by-the-worker", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		return func(o api.Orphan) bool { return o.Due }
	}
	now := workflow.Now(ctx)
	return func(o api.Orphan) bool { return !o.TerminateAt.IsZero() && !now.Before(o.TerminateAt) }
}

// Orphans lists the machines that belong to no cluster, and ends those that were named, by name or by the cloud's own
// id.
func Orphans(ctx workflow.Context, in operation.OrphansInput) (operation.OrphansResult, error) {
	var found operation.OrphansResult
	if err := sweepBatch.startActivity(ctx, "look for orphans", sweepActivities.FindOrphans).Get(ctx,
		&found); err != nil {
		return found, err
	}
	named := map[string]bool{}
	for _, name := range in.Terminate {
		named[name] = true
	}
	return found, terminateOrphans(ctx, sweepBatch, found.Orphans,
		func(o api.Orphan) bool { return named[o.Name] || o.ID != "" && named[o.ID] })
}

// terminateOrphans ends the orphans that are due, all at once, and notes on each why it could not be.
func terminateOrphans(ctx workflow.Context, e activityKind, orphans []api.Orphan, due func(api.Orphan) bool) error {
	pending := make([]workflow.Future, len(orphans))
	for i, o := range orphans {
		if due(o) {
			pending[i] = e.startActivity(ctx, o.Name+": terminate the orphan", sweepActivities.TerminateOrphan, o)
		}
	}
	for i, f := range pending {
		if f == nil {
			continue
		}
		err := f.Get(ctx, nil)
		if temporal.IsCanceledError(err) {
			return err
		}
		if orphans[i].State = "terminated"; err != nil {
			orphans[i].State, orphans[i].Error = "", failureOf(err).Message
		}
	}
	return nil
}
