package nodes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// machineStep is the state of a machine when a step starts, and how the step reports progress.
type machineStep struct {
	machine activities.MachineRef
	// cluster has no machines but its control plane and this one.
	cluster *api.Cluster
	record  *api.Machine
	report  func(string)
}

// runStep runs one step on a machine, and cancels it if the machine is lost. The error for the workflow names the step
// and the machine. If the step is retried, the error is also shown as progress.
func (a *Activities) runStep(ctx context.Context, m activities.MachineRef, stepName string,
	work func(context.Context, *machineStep) error) error {
	return a.runStepThoughLost(ctx, m, stepName, func(ctx context.Context, step *machineStep) error {
		return a.runUnlessLost(ctx, step, work)
	})
}

// runStepThoughLost is runStep for work that continues even if the machine may be lost.
func (a *Activities) runStepThoughLost(ctx context.Context, m activities.MachineRef, stepName string,
	work func(context.Context, *machineStep) error) error {
	step := &machineStep{machine: m, report: activities.NewProgressReporter(ctx, a.Store, m, a.Now)}
	var err error
	for try := 1; ; try++ {
		if step.cluster, step.record, err = activities.ReadMachine(ctx, a.Store, m); err == nil {
			err = work(ctx, step)
		}
		if try == stepTries || ctx.Err() != nil || !isRetryable(err) {
			break
		}
		step.report("retrying: " + stepName + ": " + redact.Text(err.Error()))
		select {
		case <-ctx.Done():
		case <-time.After(stepRetryDelay):
		}
	}
	err = activities.StepError(ctx, stepName, m.Name, err)
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) && !applied.NonRetryable() {
		step.report("retrying: " + stepName + ": " + applied.Message())
	}
	return err
}

// A command that failed on a machine usually fails again, so few tries are enough. They are counted here, because
// Temporal also counts tries that ended with a killed worker.
const (
	stepTries      = 3
	stepRetryDelay = 2 * time.Second
)

// isRetryable reports whether a command on the machine, or RKE2 on it, failed in a way that may be temporary.
func isRetryable(err error) bool {
	var (
		run    *remote.RunError
		shell  *remote.ShellFailed
		ofRKE2 *rke2.Error
	)
	if errors.As(err, &ofRKE2) {
		return !ofRKE2.Permanent && ofRKE2.Kind != rke2.SourceUnreachable
	}
	return errors.As(err, &run) || errors.As(err, &shell)
}

// connectToMachine connects to the machine, and pins its host key on the first contact.
func (a *Activities) connectToMachine(ctx context.Context, step *machineStep) (*remote.Host, error) {
	key, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Reach)
	defer cancel()
	h, err := a.Pool.AwaitHost(waitCtx, sshtarget.Of(step.cluster, step.record), key, step.report)
	if err != nil || step.record.HostKey != "" {
		return h, err
	}
	_, err = a.Store.UpdateMachine(ctx, step.machine.Cluster, step.record.Index, step.record.Incarnation,
		func(r *api.Machine) error {
			if r.HostKey != "" && r.HostKey != h.HostKey() {
				return fmt.Errorf("machine %s showed two different host keys on its first contacts", r.Name)
			}
			r.HostKey = h.HostKey()
			return nil
		})
	return h, err
}
