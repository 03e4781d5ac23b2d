package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Provision brings a cluster from what etcd says is wanted to READY. Where it fails or is cancelled, it terminates what
// it launched and leaves the cluster in ERROR; where the cluster is to be deleted meanwhile, it goes on as Delete.
func Provision(ctx workflow.Context, in api.ProvisionInput) error {
	if in.Timeout <= 0 {
		in.Timeout = api.DefaultProvisionTimeout
	}
	p := &provision{ref: in.Cluster, board: newBoard(), until: workflow.Now(ctx).Add(in.Timeout)}
	work, stop := workflow.WithCancel(ctx)
	late := false
	workflow.Go(work, func(tick workflow.Context) {
		if workflow.NewTimerWithOptions(tick, in.Timeout, workflow.TimerOptions{Summary: "deadline of the create"}).Get(tick, nil) == nil {
			late = true
			stop()
		}
	})
	err := p.run(work, in)
	stop()
	if err == nil || workflow.IsContinueAsNewError(err) {
		return err
	}
	if late {
		err = p.lateError(in)
	}
	return p.fail(ctx, err)
}

// provision is the state of one run.
type provision struct {
	ref   api.Ref
	begun activities.Begun
	board *board
	// onlyGPUs: all else is done.
	onlyGPUs bool
	// until is when the create has to be done.
	until time.Time
}

// run goes through the cloud's placements until one holds the whole cluster.
func (p *provision) run(ctx workflow.Context, in api.ProvisionInput) error {
	if err := look.do(ctx, p.ref.Name+": begin", clusters.Begin, in).Get(ctx, &p.begun); err != nil || p.begun.Settled {
		return err
	}
	placements, err := p.placements(ctx)
	if err != nil {
		return err
	}
	for i, placement := range placements {
		err = p.attempt(ctx, placement)
		for n := 0; p.lostHead(err) && ctx.Err() == nil && n < relaunches; n++ { // what joined it is of no use to another
			if left := terminateAll(ctx, cleanup, p.ref); left != nil {
				return err
			}
			err = p.attempt(ctx, placement)
		}
		if err == nil {
			// Before the GPU stack, which may take long: without it the machines are kept, and must not power off.
			if err := p.disarm(ctx, placement); err != nil {
				return err
			}
			if p.begun.GPUs {
				p.onlyGPUs = true
				// Of a chart that an earlier create could not have installed, the next try may be minutes away: it is applied anew.
				if err := installGPUs(ctx, p.ref, workflow.GetInfo(ctx).WorkflowExecution.RunID); err != nil {
					return &withoutGPUs{cause: err}
				}
			}
			return look.run(ctx, p.ref.Name+": measure and mark READY", clusters.MarkReady, p.ref)
		}
		if ctx.Err() != nil || !elsewhere(err) {
			return err
		}
		last := i == len(placements)-1 // whose machines, if any, are for fail to keep or end
		if !last && terminateAll(ctx, cleanup, p.ref) != nil {
			return err
		}
		tried := activities.AttemptInput{Cluster: p.ref, Placement: placement, Failure: failureOf(err), Last: last}
		if err := record.run(ctx, p.ref.Name+": record the failed placement", clusters.RecordAttempt, tried); err != nil {
			return err
		}
		if !last && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			// The server ends a run whose history grows too long, and with it all hope of a clean-up.
			in.Timeout, in.Continued = p.until.Sub(workflow.Now(ctx)), true
			return workflow.NewContinueAsNewError(ctx, Provision, in)
		}
	}
	if err == nil {
		return temporal.NewNonRetryableApplicationError("every placement was tried", string(cloud.Capacity), nil)
	}
	return err
}

// lostHead says that an attempt ended because its head is gone.
func (p *provision) lostHead(err error) bool {
	return reasonOf(err) == activities.ReasonLost && failureOf(err).Machine == api.MachineName(p.ref.Name, 0)
}

// placements are the cloud's that this create has not been through, after the one where machines of an earlier try were
// kept and are good to go on with.
func (p *provision) placements(ctx workflow.Context) ([]api.Placement, error) {
	var kept []api.Placement
	if p.begun.Placement != nil {
		var found activities.Survey
		err := ask.do(ctx, p.ref.Name+": look at the machines of an earlier try", machines.Survey, p.ref).Get(ctx, &found)
		if err != nil {
			return nil, err
		}
		if found.Head {
			kept = append(kept, *p.begun.Placement)
		} else if err := terminateAll(ctx, cleanup, p.ref); err != nil {
			return nil, err // workers of a head that is gone hold its certificates: they are of no use to the next one
		}
	}
	var ranked []api.Placement
	if err := ask.do(ctx, p.ref.Name+": ask the cloud for placements", machines.Plan, p.ref).Get(ctx, &ranked); err != nil {
		return nil, err
	}
	for _, placement := range ranked {
		if !slices.Contains(kept, placement) && !slices.Contains(p.begun.Tried, placement) {
			kept = append(kept, placement)
		}
	}
	return kept, nil
}

// elsewhere says whether another placement may do where this one failed.
func elsewhere(err error) bool {
	switch cloud.Kind(reasonOf(err)) {
	case cloud.Capacity, cloud.Quota, cloud.Access:
		return true
	}
	return false
}

// fail cleans up, records why, and reports the error as the operation's own. It does so on a context that is not cancelled;
// of its own it only asks whether somebody cancels.
func (p *provision) fail(ctx workflow.Context, err error) error {
	clean, _ := workflow.NewDisconnectedContext(ctx)
	failure := failureOf(err)
	if lacksGPUs(err) {
		failure.Step = api.StepGPU
	}
	for {
		cancelledBefore := ctx.Err() != nil
		wanted, end := wanted(clean, p.ref)
		if end != nil {
			return end
		}
		if failure.Machine != "" && len(failure.Log) == 0 && !lacksGPUs(err) { // RKE2, whose log it is, is well there
			failure.Log = p.lastWords(clean, failure.Machine)
		}
		if wanted.KeepMachines || lacksGPUs(err) {
			break
		}
		left := p.tidy(ctx, clean)
		if left != nil && ctx.Err() != nil && !cancelledBefore {
			continue // perhaps for the sake of a delete
		}
		if left != nil {
			failure.Message += fmt.Sprintf("; and not all machines could be terminated, delete the cluster to try again: %s", failureOf(left).Message)
		}
		break
	}
	marked := settle.run(clean, p.ref.Name+": mark ERROR", clusters.MarkFailed, activities.FailInput{Cluster: p.ref, Failure: failure})
	if marked != nil {
		return marked
	}
	if temporal.IsCanceledError(err) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(failure.Message, failure.Reason, nil)
}

// wanted asks what is to become of a cluster whose operation did not succeed. Its error is the operation's end: where the
// cluster is to go, it goes on as Delete.
func wanted(ctx workflow.Context, ref api.Ref) (activities.Wanted, error) {
	var wanted activities.Wanted
	switch err := settle.do(ctx, ref.Name+": see what is wanted now", clusters.Wanted, ref).Get(ctx, &wanted); {
	case err != nil && reasonOf(err) == activities.ReasonGone:
		return wanted, temporal.NewNonRetryableApplicationError("the cluster was forgotten", activities.ReasonGone, err)
	case err != nil:
		return wanted, err
	case wanted.Deleted:
		return wanted, workflow.NewContinueAsNewError(ctx, Delete, api.DeleteInput{Cluster: ref})
	}
	return wanted, nil
}

// tidy terminates what was launched. That may take long where the cloud is out of reach; whoever cancels the operation
// meanwhile ends it.
func (p *provision) tidy(ctx, clean workflow.Context) error {
	work, stop := workflow.WithCancel(clean)
	defer stop()
	if ctx.Err() == nil {
		workflow.Go(clean, func(watch workflow.Context) {
			ctx.Done().Receive(watch, nil)
			stop()
		})
	}
	return terminateAll(work, cleanup, p.ref)
}

// lastWords asks a machine for the last lines of its log; one that can't answer has none.
func (p *provision) lastWords(ctx workflow.Context, name string) []string {
	m, ok := p.board.machine(name)
	if !ok {
		return nil
	}
	var lines []string
	if err := glance.do(ctx, name+": read the log", nodes.Diagnose, m).Get(ctx, &lines); err != nil {
		workflow.GetLogger(ctx).Info("no log to be had", "machine", name, "error", err)
		return nil
	}
	return lines
}

// lateError says which machine kept the create from ending in time, and at which step it stood.
func (p *provision) lateError(in api.ProvisionInput) error {
	if p.onlyGPUs {
		return &withoutGPUs{cause: temporal.NewNonRetryableApplicationError(fmt.Sprintf("not READY within %s: the GPU stack was not up yet", in.Timeout), "Deadline", nil)}
	}
	name, doing := p.board.slowest()
	f := api.Failure{
		Step: doing, Machine: name, Reason: "Deadline",
		Message: fmt.Sprintf("not READY within %s: %s was still at the step: %s", in.Timeout, name, doing),
	}
	if name == "" {
		f.Step, f.Message = "plan", fmt.Sprintf("not READY within %s: no machine had been asked for yet", in.Timeout)
	}
	return temporal.NewApplicationErrorWithOptions(f.Message, f.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{f},
	})
}
