package machines

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// recordStepError is failed for a step on a machine that is not there yet, or that ends. Where the step is tried again,
// people are shown why meanwhile; the time that they are shown goes on.
func (a *Activities) recordStepError(ctx context.Context, step string, m activities.MachineRef, err error) error {
	err = activities.StepError(ctx, step, m.Name, err)
	trouble := retryMessage(ctx, err)
	if trouble == "" {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, activities.ProgressTimeout)
	defer cancel()
	// A write that fails costs nothing but the message.
	_, _ = a.Store.UpdateMachine(soon, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetTrouble(step, trouble)
		return nil
	})
	return err
}

// recordReleaseError is the same of what is done to a cluster as a whole while it is being deleted.
func (a *Activities) recordReleaseError(ctx context.Context, ref api.Ref, err error) error {
	err = activities.StepError(ctx, api.StepRelease, "", err)
	trouble := retryMessage(ctx, err)
	if trouble == "" {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, activities.ProgressTimeout)
	defer cancel()
	_, _ = a.Store.UpdateCluster(soon, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting {
			f := activities.FailureDetails(err)
			f.At = a.Now().Truncate(time.Second)
			c.Status.Failure = &f
		}
		return nil
	})
	return err
}

// retryMessage is what there is to say of an error of a step that is tried again; nothing where it is not, or where
// nobody is there any more to write it down.
func retryMessage(ctx context.Context, err error) string {
	var applied *temporal.ApplicationError
	if ctx.Err() != nil || !errors.As(err, &applied) || applied.NonRetryable() {
		return ""
	}
	return activities.FailureDetails(err).Message
}
