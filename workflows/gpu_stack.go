package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/pkg/api"
)

// gpuWait is the kind of activity that waits for the GPU stack: building a driver takes almost half an hour.
var gpuWait = activityKind{attempt: 45 * time.Minute, heartbeat: heartbeatTimeout, total: time.Hour}

// installGPUs makes a cluster's accelerators available to Kubernetes, and waits until a pod has used one on each node.
// See gpustack.StackInput for again.
func installGPUs(ctx workflow.Context, ref api.Ref, again string) error {
	var in gpustack.StackInput
	if err := step.runForResult(ctx, ref.Name+": probe the machines for a driver", &in, gpuActivities.ProbeGPUs,
		ref); err != nil {
		return err
	}
	in.Again = again
	if err := step.runActivity(ctx, ref.Name+": install the GPU stack", gpuActivities.ApplyGPUs, in); err != nil {
		return err
	}
	var untested []activities.MachineRef
	if err := gpuWait.runForResult(ctx, ref.Name+": wait for the GPU stack", &untested, gpuActivities.AwaitGPUs,
		ref); err != nil {
		return err
	}
	tests := make([]workflow.Future, len(untested))
	for i, m := range untested {
		tests[i] = gpuWait.startActivity(ctx, m.Name+": test an accelerator", gpuActivities.TryGPU, m)
	}
	var failed error
	for _, test := range tests {
		if err := test.Get(ctx, nil); failed == nil {
			failed = err
		}
	}
	return failed
}

// gpuStackError is the error of a cluster of which only the GPU stack failed.
type gpuStackError struct{ cause error }

func (e *gpuStackError) Error() string { return e.cause.Error() }
func (e *gpuStackError) Unwrap() error { return e.cause }

// isGPUStackError says whether only the GPU stack failed; then the machines are kept.
func isGPUStackError(err error) bool {
	var e *gpuStackError
	return errors.As(err, &e)
}
