package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// Converge makes a cluster match its spec: it observes the cluster, starts the planner's actions, and observes again
// when an action ends, the spec changes, or some time has passed. It ends once nothing runs, no action is due, and the
// spec's generation is reached. If the cluster is to be deleted, restored or stopped by then, it continues as Delete,
// Restore or Stop.
func Converge(ctx workflow.Context, in operation.ConvergeInput) error {
	work, stop := workflow.WithCancel(ctx)
	r := newConvergeRun(work, in)
	err := r.convergeUntilDone(work)
	if r.leaving {
		stop()
	}
	r.awaitActions(ctx)
	return endOperation(ctx, r.cluster, err)
}

const (
	// convergeInterval is how often Converge observes a cluster while it waits, and fullInterval once its history is
	// long enough to end the run.
	convergeInterval = time.Minute
	fullInterval     = 10 * time.Minute
	// Each observation reads the whole cluster and has the running actions in its input. While more than fewRunning
	// run, those that end within some time lead to one observation: gatherTime for each running action, up to
	// maxGatherTime. Otherwise the cost would grow with the square of their number.
	fewRunning    = 10
	gatherTime    = 50 * time.Millisecond
	maxGatherTime = 5 * time.Second
	// maxConvergeEvents is the length of a history from which on no action is started before the run continues as new.
	// Temporal suggests that earlier, and terminates a run at 51,200 events or 50 MiB.
	maxConvergeEvents = 20_000
	maxConvergeBytes  = 20 << 20
)

// convergeRun is the state of one run of Converge.
type convergeRun struct {
	in      operation.ConvergeInput
	cluster api.Ref
	// changes has a signal for each change of the spec since the last observation.
	changes workflow.ReceiveChannel
	// running are the actions that have started and whose end is not on record, in the order of their start.
	running []*runningAction
	started int
	// slots are for actions on machines that stay, drainSlots for those that remove or replace a machine.
	slots, drainSlots workflow.Semaphore
	// groups is how many children run. They share the joins that a server can take at once.
	groups int64
	asked  time.Time
	// leaving is set when another operation has to run: Delete, Restore or Stop.
	leaving bool
}

func newConvergeRun(ctx workflow.Context, in operation.ConvergeInput) *convergeRun {
	r := &convergeRun{in: in, cluster: in.Cluster, slots: workflow.NewSemaphore(ctx, actionsAtOnce),
		drainSlots: workflow.NewSemaphore(ctx, actionsAtOnce),
		changes:    workflow.GetSignalChannel(ctx, operation.SignalChanged)}
	if in.Again {
		r.asked = workflow.Now(ctx)
	}
	r.receiveOutcomes(ctx)
	return r
}

func (r *convergeRun) convergeUntilDone(ctx workflow.Context) error {
	for {
		if err := r.recordEndedActions(ctx); err != nil {
			return err
		}
		for r.changes.ReceiveAsync(nil) { // the observation is newer
		}
		assessed, err := r.assessCluster(ctx)
		if r.mayAssessAgain(ctx, err) {
			if err := r.awaitNext(ctx, time.Time{}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if assessed.Deleting || assessed.Next != "" { // whoever asked may not have reached Temporal to cancel this run
			r.leaving = true
			return temporal.NewCanceledError()
		}
		workflow.SetCurrentDetails(ctx, r.describe(assessed.Doing))
		if assessed.Fail != nil && len(r.running) == 0 {
			return failCluster(ctx, r.cluster, *assessed.Fail)
		}
		if done, err := r.endOrContinue(ctx, assessed); done || err != nil {
			return err
		}
		r.stopActions(ctx, assessed.Stop)
		if assessed.Fail == nil && !r.isHistoryFull(ctx) {
			if err := r.startActions(ctx, assessed.Actions); err != nil {
				return err
			}
		}
		if err := r.awaitNext(ctx, assessed.NextAt); err != nil {
			return err
		}
	}
}

func (r *convergeRun) assessCluster(ctx workflow.Context) (observe.Assessment, error) {
	in := observe.AssessInput{Cluster: r.cluster, Asked: r.asked, Operation: operation.WorkflowConverge}
	for _, a := range r.running {
		in.InFlight = append(in.InFlight, a.entry.Action)
	}
	var assessed observe.Assessment
	err := slowRead.runForResult(ctx, r.cluster.Name+": observe the cluster", &assessed, sweepActivities.Assess, in)
	return assessed, err
}

// mayAssessAgain says whether the run goes on although an observation failed: it has to wait for its actions anyway,
// and some may take hours.
func (r *convergeRun) mayAssessAgain(ctx workflow.Context, err error) bool {
	if err == nil || r.haveAllEnded() || temporal.IsCanceledError(err) || errorReason(err) == activities.ReasonGone {
		return false
	}
	return workflow.GetVersion(ctx, "assess-again", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// endOrContinue reports whether the run is done. Its error may continue it as new.
func (r *convergeRun) endOrContinue(ctx workflow.Context, assessed observe.Assessment) (done bool, err error) {
	if len(r.running) > 0 || assessed.Fail != nil {
		return false, nil
	}
	if len(assessed.Actions) == 0 && (assessed.Reached || !assessed.MayAct) {
		if assessed.Serves {
			err := etcdWrite.runActivity(ctx, r.cluster.Name+": mark READY again", clusterActivities.MarkRepaired,
				r.cluster)
			if err != nil {
				return false, err
			}
		}
		return r.changes.Len() == 0, nil
	}
	if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		// The next run observes the cluster first, so a change that was signalled meanwhile is not lost.
		return false, workflow.NewContinueAsNewError(ctx, Converge, operation.ConvergeInput{Cluster: r.cluster,
			Again: r.in.Again && assessed.InError})
	}
	return false, nil
}

func (r *convergeRun) isHistoryFull(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetCurrentHistoryLength() > maxConvergeEvents || info.GetCurrentHistorySize() > maxConvergeBytes
}

// awaitNext waits until an action ends, the spec changes, something is due, or some time has passed.
func (r *convergeRun) awaitNext(ctx workflow.Context, nextAt time.Time) error {
	pause := convergeInterval
	if r.isHistoryFull(ctx) {
		pause = fullInterval // nothing is started
	} else if until := nextAt.Sub(workflow.Now(ctx)); !nextAt.IsZero() && until < pause {
		pause = max(until, time.Second)
	}
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: pause,
		TimerOptions: workflow.TimerOptions{Summary: "until the cluster is observed again"}},
		func() bool { return r.changes.Len() > 0 || r.hasEndedActions() })
	if err != nil || len(r.running) <= fewRunning || r.changes.Len() > 0 {
		return err
	}
	gather := min(time.Duration(len(r.running))*gatherTime, maxGatherTime)
	_, err = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: gather,
		TimerOptions: workflow.TimerOptions{Summary: "for more actions that end"}},
		func() bool { return r.changes.Len() > 0 || r.haveAllEnded() })
	return err
}
