package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// gpuStack is the kind of activity that waits for the GPU stack: a driver that has to be built takes most of half an
// hour.
var gpuStack = activityKind{once: 45 * time.Minute, silence: heartbeatTimeout, total: time.Hour}

// installGPUs has a cluster's accelerators made known to Kubernetes, and waits until pods have had one of each node.
// again is that of activities.GPUInput.
func installGPUs(ctx workflow.Context, ref api.Ref, again string) error {
	var in activities.StackInput
	if err := step.startActivity(ctx, ref.Name+": probe the machines for a driver", gpuActivities.ProbeGPUs,
		ref).Get(ctx,
		&in); err != nil {
		return err
	}
	in.Again = again
	if err := step.runActivity(ctx, ref.Name+": install the GPU stack", gpuActivities.ApplyGPUs, in); err != nil {
		return err
	}
	var untried []activities.MachineRef
	if err := gpuStack.startActivity(ctx, ref.Name+": wait for the GPU stack", gpuActivities.AwaitGPUs, ref).Get(ctx,
		&untried); err != nil {
		return err
	}
	pending := make([]workflow.Future, len(untried))
	for i, m := range untried {
		pending[i] = gpuStack.startActivity(ctx, m.Name+": try an accelerator", gpuActivities.TryGPU, m)
	}
	var all error
	for _, f := range pending {
		if err := f.Get(ctx, nil); all == nil {
			all = err
		}
	}
	return all
}

// gpuStackError is the error of a cluster that is whole but for its accelerators.
type gpuStackError struct{ cause error }

func (e *gpuStackError) Error() string { return e.cause.Error() }
func (e *gpuStackError) Unwrap() error { return e.cause }

// isGPUStackError says whether only the GPU stack failed, so that the machines are worth keeping.
func isGPUStackError(err error) bool {
	var e *gpuStackError
	return errors.As(err, &e)
}
