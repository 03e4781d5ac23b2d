package nodes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// DrainMachineInput says how a machine that is to leave is drained.
type DrainMachineInput struct {
	Machine activities.MachineRef `json:"machine"`
	// Timeout is how long disruption budgets are honoured.
	Timeout time.Duration `json:"timeout"`
	// Force deletes the pods that are left then.
	Force bool `json:"force,omitempty"`
	// Reason says for people why the machine leaves.
	Reason string `json:"reason"`
}

// drainSlack is what DrainMachine needs beside the drain: to stop the agent, and to report.
const drainSlack = 2 * time.Minute

// LongestDrain is how long DrainMachine takes at most; the timeout of the activity has to be longer.
func (in DrainMachineInput) LongestDrain() time.Duration {
	if in.Force {
		return in.Timeout + kube.MaxForcedWait + drainSlack
	}
	return in.Timeout + drainSlack
}

// DrainMachine cordons a machine's Node, evicts its pods, and then stops its agent, as far as the machine still
// answers. If pods are left at the timeout, the reason is DrainBlocked, the machine's record says which, and the Node
// stays cordoned. It continues even if the machine is lost, and succeeds if its Node is gone.
func (a *Activities) DrainMachine(ctx context.Context, in DrainMachineInput) error {
	m := in.Machine
	return a.runStepThoughLost(ctx, m, "drain the Node", func(ctx context.Context, step *machineStep) error {
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		defer kube.CloseClient(client)
		clock := resumeDrainClock(ctx)
		report := func(progress string) {
			step.report(progress)
			clock.record(ctx, progress)
		}
		report("draining the Node")
		outcome, err := kube.DrainNode(ctx, client, m.NodeName, kube.DrainOptions{
			Timeout: max(0, in.Timeout-clock.before), Force: in.Force, Reason: in.Reason, Report: report,
		})
		if blocked := new(kube.DrainBlocked); errors.As(err, &blocked) {
			blocked.After = in.Timeout
			a.recordDrainBlocked(ctx, m, blocked)
		}
		if err != nil {
			return err
		}
		a.reportDrainOutcome(ctx, step, outcome)
		return a.stopAgentIfPossible(ctx, step)
	})
}

// drainClock counts how long workers have drained a node. A worker that takes over goes on with the time of the one
// before. The time without a worker does not count: pods could not leave in it, so a drain by force must not begin.
type drainClock struct {
	before  time.Duration
	started time.Time
}

func resumeDrainClock(ctx context.Context) drainClock {
	c := drainClock{started: time.Now()}
	var progress string
	if activity.IsActivity(ctx) && activity.HasHeartbeatDetails(ctx) {
		// The heartbeat has no time if that worker died just after it began; then the time counts from here.
		_ = activity.GetHeartbeatDetails(ctx, &progress, &c.before)
	}
	return c
}

// record stores the time in the heartbeat, after the progress.
func (c drainClock) record(ctx context.Context, progress string) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, redact.Text(progress), c.before+time.Since(c.started))
	}
}

// recordDrainBlocked records why a machine's drain ended. A failed write changes nothing: the error says it too.
func (a *Activities) recordDrainBlocked(ctx context.Context, m activities.MachineRef, blocked *kube.DrainBlocked) {
	ctx, cancel := context.WithTimeout(ctx, activities.ProgressTimeout)
	defer cancel()
	_, _ = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetTrouble("drain", redact.Text(blocked.Error()))
		return nil
	})
}

// reportDrainOutcome records, as an event, which pods did not leave by eviction.
func (a *Activities) reportDrainOutcome(ctx context.Context, step *machineStep, outcome kube.DrainOutcome) {
	for _, each := range []struct {
		pods []kube.RemainingPod
		how  string
	}{
		{outcome.Deleted, "deleted by force after the drain's timeout"},
		{outcome.Abandoned, "left on the machine, where nothing stopped them in time"},
	} {
		if len(each.pods) == 0 {
			continue
		}
		e := activities.NewEvent(step.cluster, step.machine.Name, api.EventWarning, "DrainForced",
			fmt.Sprintf("%s: %s", activities.FormatCount(len(each.pods), "pod")+" "+each.how, each.pods[0]))
		e.First, e.Last = a.Now(), a.Now()
		activities.RecordEvent(ctx, a.Store, e)
	}
}

// UncordonNode makes a machine's Node schedulable again after a drain that is called off. It does nothing if a person
// cordoned the Node, or if it is gone.
func (a *Activities) UncordonNode(ctx context.Context, m activities.MachineRef) error {
	const step = "uncordon the Node"
	client, err := a.newKubeClient(ctx, m.Cluster)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	defer kube.CloseClient(client)
	if err := kube.UncordonNode(ctx, client, m.NodeName); err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.State == api.MachineReady {
			r.Step, r.Trouble, r.Since = "", "", a.Now()
		}
		return nil
	})
	return activities.StepError(ctx, step, m.Name, err)
}
