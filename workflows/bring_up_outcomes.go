package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
)

// gatherOutcomes is how long a group waits for more machines that end before it tells its parent. Each signal costs a
// workflow task of the parent and two of the group, and the machines of a group join at about the same time.
const gatherOutcomes = time.Second

// outcomeReport tells the parent of a group how the bring-ups of its machines ended.
type outcomeReport struct {
	group *bringUpGroup
	// gathers: one signal has the outcomes of several machines. It is false in runs of older versions.
	gathers bool
	// unended is how many machines have no outcome yet.
	unended int
	// unsent are the outcomes that the parent does not know yet.
	unsent []machineOutcome
	// sending: a coroutine sends them.
	sending bool
}

func newOutcomeReport(ctx workflow.Context, g *bringUpGroup) *outcomeReport {
	version := workflow.GetVersion(ctx, "gather-outcomes", workflow.DefaultVersion, 1)
	return &outcomeReport{group: g, gathers: version != workflow.DefaultVersion, unended: len(g.in.Machines)}
}

// reportOutcome reports how the bring-up of a machine ended, at once if it is the last one.
func (r *outcomeReport) reportOutcome(ctx workflow.Context, m activities.MachineRef, err error) {
	outcome := machineOutcome{Index: m.Index, Stopped: temporal.IsCanceledError(err)}
	if err != nil {
		failure := failureOf(err)
		outcome.Failure = &failure
	}
	r.unended--
	if !r.gathers {
		r.group.tellParent(ctx, signalMachinesEnded, []machineOutcome{outcome})
		return
	}
	r.unsent = append(r.unsent, outcome)
	if r.sending {
		return
	}
	r.sending = true
	clean, _ := workflow.NewDisconnectedContext(ctx)
	r.group.sent.Go(clean, r.sendOutcomes)
}

func (r *outcomeReport) sendOutcomes(ctx workflow.Context) {
	// An error would be that of a cancelled context, which this one is not.
	_, _ = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: gatherOutcomes,
		TimerOptions: workflow.TimerOptions{Summary: "for more machines that end"}},
		func() bool { return r.unended == 0 })
	outcomes := r.unsent
	r.unsent, r.sending = nil, false
	r.group.tellParent(ctx, signalMachinesEnded, outcomes)
}
