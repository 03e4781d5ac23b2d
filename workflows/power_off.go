package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

const (
	// powerOffMargin is how long after the deadline of a create its machines power themselves off: clean-up has its
	// time before, and a person who looks at machines that were kept has some.
	powerOffMargin = 30 * time.Minute
	// disarmsAtOnce bounds the timers that are taken away at one time.
	disarmsAtOnce = 50
)

// isBilled says whether machines of a placement cost something, so that they must not outlive everybody who would end
// them.
func isBilled(p api.Placement) bool { return p.PricePerMachine > 0 }

// setPowerOffTimer has a machine power itself off if its cluster is not READY some time after it should be.
func (a *placementAttempt) setPowerOffTimer(ctx workflow.Context, m activities.MachineRef) error {
	if !isBilled(a.placement) {
		return nil
	}
	in := activities.ArmInput{Machine: m, At: a.p.until.Add(powerOffMargin)}
	return a.runStep(ctx, m, "set the power-off timer", nodeActivities.Arm, in)
}

// clearPowerOffTimers takes the power-off timers of all machines away. A cluster of which one may yet power off is not
// READY.
func (p *provisionRun) clearPowerOffTimers(ctx workflow.Context, placement api.Placement) error {
	if !isBilled(placement) {
		return nil
	}
	const doing = "take the power-off timer away"
	work, stop := workflow.WithCancel(ctx)
	defer stop()
	var first error
	places := workflow.NewSemaphore(ctx, disarmsAtOnce)
	all := workflow.NewWaitGroup(ctx)
	for _, m := range p.board.machines {
		all.Add(1)
		workflow.Go(work, func(ctx workflow.Context) {
			defer all.Done()
			err := places.Acquire(ctx, 1)
			if err == nil {
				defer places.Release(1)
				p.board.setStep(ctx, m, doing)
				err = addMachineAndStep(step.runActivity(ctx, m.Name+": "+doing, nodeActivities.Disarm, m), m.Name,
					doing)
			}
			if err != nil {
				if first == nil {
					first = err
				}
				stop()
				return
			}
			p.board.setReady(ctx, m)
		})
	}
	rest, _ := workflow.NewDisconnectedContext(ctx) // what runs has to be seen to end, or clean-up would race it
	all.Wait(rest)
	return first
}
