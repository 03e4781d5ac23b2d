// Package workflows holds the durable operations on clusters. The code here is deterministic: it decides and orders;
// whatever touches the world is an activity.
package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// The activities, by concern; they are never called here, only named.
var (
	clusterActivities *activities.Clusters
	machineActivities *activities.Machines
	nodeActivities    *activities.Nodes
	sweepActivities   *activities.Sweeps
	gpuActivities     *activities.GPUs
)

// Plan asks a cloud what it would place, and changes nothing.
func Plan(ctx workflow.Context, in operation.PlanInput) (operation.PlanResult, error) {
	var result operation.PlanResult
	err := cloudQuery.startActivity(ctx, "ask the cloud for placements", machineActivities.CheckSpec, in).Get(ctx,
		&result)
	return result, err
}

// activityKind says how long an activity may take at once and with all its tries, and how soon its silence is noticed.
type activityKind struct {
	once, silence, total time.Duration
	// tries bounds their number, where it is set.
	tries int32
}

// The kinds of activities. Tries are bounded by time, not by count: a worker that is shut down uses one up. The clock
// also runs while no worker does, as on a laptop that sleeps; so what gives machines back has a day.
var (
	// etcdWrite writes to etcd.
	etcdWrite = activityKind{once: 15 * time.Second, total: 10 * time.Minute}
	// outcomeWrite writes how an operation ended, and asks what is to come of it: one that gave up on that would leave
	// machines that nobody looks after.
	outcomeWrite = activityKind{once: 15 * time.Second, total: 24 * time.Hour}
	// slowRead reads what may be large or slow to answer: a release's files, a whole cluster through its API.
	slowRead = activityKind{once: 5 * time.Minute, silence: heartbeatTimeout, total: 15 * time.Minute}
	// cloudQuery puts a question to a cloud; somebody may be waiting for the answer.
	cloudQuery = activityKind{once: 2 * time.Minute, silence: heartbeatTimeout, total: 6 * time.Minute}
	// launch asks for a machine and waits for it, and may have to make the image first.
	launch = activityKind{once: 20 * time.Minute, silence: heartbeatTimeout, total: 30 * time.Minute}
	// step does one thing to a machine; its own deadlines, which say what was awaited, lie below these.
	step = activityKind{once: 30 * time.Minute, silence: heartbeatTimeout, total: 45 * time.Minute}
	// cleanup gives machines back. It is worth trying long: what is left bills.
	cleanup = activityKind{once: 5 * time.Minute, silence: heartbeatTimeout, total: 24 * time.Hour}
	// purge gives machines back only if that is quick.
	purge = activityKind{once: 30 * time.Second, silence: heartbeatTimeout, total: 24 * time.Hour, tries: 2}
	// lostCheck asks twice about a machine that may be gone, with a pause between.
	lostCheck = activityKind{once: 4 * time.Minute, silence: heartbeatTimeout, total: 5 * time.Minute}
	// quickRead looks at something that may not be there any more.
	quickRead = activityKind{once: 15 * time.Second, total: 20 * time.Second}
)

// heartbeatTimeout is how long an activity may be silent before it is given to another worker; the worker beats every
// few seconds.
const heartbeatTimeout = 15 * time.Second

// startActivity runs an activity, with a summary that the Web UI shows.
func (e activityKind) startActivity(ctx workflow.Context, summary string, activity any, args ...any) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    e.once,
		HeartbeatTimeout:       e.silence,
		ScheduleToCloseTimeout: e.total,
		WaitForCancellation:    true,
		Summary:                summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 20 * time.Second,
			MaximumAttempts: e.tries,
		},
	})
	return workflow.ExecuteActivity(ctx, activity, args...)
}

// runActivity is do for an activity whose result is only its error.
func (e activityKind) runActivity(ctx workflow.Context, summary string, activity any, args ...any) error {
	return e.startActivity(ctx, summary, activity, args...).Get(ctx, nil)
}

// failureOf is what a person is told about an error of an activity.
func failureOf(err error) api.Failure {
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) {
		var f api.Failure
		if applied.HasDetails() && applied.Details(&f) == nil && f.Step != "" {
			return f
		}
		return api.Failure{Step: "operation", Reason: applied.Type(), Message: applied.Message()}
	}
	var late *temporal.TimeoutError
	if errors.As(err, &late) {
		return api.Failure{Step: "operation", Reason: "Deadline", Message: fmt.Sprintf("no result in time: %v", late)}
	}
	if temporal.IsCanceledError(err) {
		return api.Failure{Step: "operation", Reason: "Cancelled", Message: "the operation was cancelled"}
	}
	return api.Failure{Step: "operation", Reason: "Failed", Message: err.Error()}
}

// addMachineAndStep adds machine and step to an error that does not say so itself, such as a time-out.
func addMachineAndStep(err error, machine, doing string) error {
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	f := failureOf(err)
	if f.Machine != "" {
		return err
	}
	f.Machine, f.Step = machine, doing
	return temporal.NewApplicationErrorWithOptions(err.Error(), f.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: err, Details: []any{f},
	})
}

// errorReason is the reason that an activity gave for its error.
func errorReason(err error) string {
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) {
		return applied.Type()
	}
	return ""
}

// A machine may come to light only after the others were terminated, where a launch that was given up was not; so the
// cloud is asked again, as often as this.
const (
	terminateRounds     = 10
	terminateRoundDelay = 5 * time.Second
)

// terminateAllMachines ends all machines that the cluster may have, and confirms that none is left.
func terminateAllMachines(ctx workflow.Context, e activityKind, ref api.Ref) error {
	for round := 1; ; round++ {
		err := terminateKnownMachines(ctx, e, ref)
		if errorReason(err) != activities.ReasonLeft || round == terminateRounds {
			return err
		}
		if err := workflow.Sleep(ctx, terminateRoundDelay); err != nil {
			return err
		}
	}
}

// terminateKnownMachines ends, in parallel, all machines that etcd or the cloud knows of now.
func terminateKnownMachines(ctx workflow.Context, e activityKind, ref api.Ref) error {
	var existing []activities.ExistingMachine
	if err := e.startActivity(ctx, ref.Name+": list the machines", machineActivities.Existing, ref).Get(ctx,
		&existing); err != nil {
		return err
	}
	pending := make([]workflow.Future, len(existing))
	for i, m := range existing {
		in := activities.TerminateInput{Cluster: ref, Name: m.Name, Incarnation: m.Incarnation, ID: m.ID,
			Index: m.Index, Unrecorded: m.Unrecorded}
		pending[i] = e.startActivity(ctx, m.Name+": terminate", machineActivities.Terminate, in)
	}
	var all error
	for _, f := range pending {
		all = errors.Join(all, f.Get(ctx, nil))
	}
	if all != nil {
		return all
	}
	return e.runActivity(ctx, ref.Name+": confirm that nothing is left", machineActivities.Release, ref)
}

// All are the workflows that change or compare clusters: a worker offers them, and a replay of their histories needs
// them.
func All() []any { return []any{Provision, Delete, Repair, Sweep, Orphans, Adopt} }
