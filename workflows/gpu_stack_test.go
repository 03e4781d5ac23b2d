package workflows

import (
	"context"
	"testing"

	"github.com/stretchr/testify/mock"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/pkg/api"
)

// newGPUWorld returns a world whose cluster has accelerators, on two billed machines.
func newGPUWorld(t *testing.T) *world {
	t.Helper()
	w, _ := newBilledWorld(t, 2, dear)
	w.begun.GPUs = true
	a := &gpustack.Activities{}
	w.RegisterActivity(a)
	w.OnActivity(a.ProbeGPUs, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) (gpustack.StackInput,
		error) {
		return gpustack.StackInput{Cluster: ref}, w.did(ctx, "probe")
	}).Maybe()
	w.OnActivity(a.ApplyGPUs, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		_ gpustack.StackInput) error {
		return w.did(ctx, "apply")
	}).Maybe()
	w.OnActivity(a.AwaitGPUs, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) ([]activities.MachineRef,
		error) {
		return []activities.MachineRef{{Name: "sky-c1-0"}, {Name: "sky-c1-1"}}, w.did(ctx, "stack")
	}).Maybe()
	w.OnActivity(a.TryGPU, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		m activities.MachineRef) error {
		return w.did(ctx, "try "+m.Name)
	}).Maybe()
	return w
}

func TestGPUClusterIsReadyAfterAPodUsedEachNodesGPU(t *testing.T) {
	w := newGPUWorld(t)
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{"node sky-c1-0", "node sky-c1-1", "disarm sky-c1-0", "disarm sky-c1-1"} {
		if w.index(first) > w.index("probe") {
			t.Errorf("%s ran after the GPU stack had started", first)
		}
	}
	for _, first := range []string{"probe", "apply", "stack", "try sky-c1-0", "try sky-c1-1"} {
		if at := w.index(first); at < 0 || at > w.index("ready") {
			t.Errorf("%s: %d, READY at %d", first, at, w.index("ready"))
		}
	}
}

func TestFailedGPUStackKeepsTheMachines(t *testing.T) {
	for _, at := range []string{"probe", "apply", "stack", "try sky-c1-1"} {
		t.Run(at, func(t *testing.T) {
			w := newGPUWorld(t)
			w.failures[at] = []error{final("gpu", "", "PodFailing")}
			if err := w.provision(t); err == nil {
				t.Fatal("no error")
			}
			if w.failed == nil || w.failed.Step != api.StepGPU || w.failed.Reason != "PodFailing" {
				t.Errorf("failure %+v", w.failed)
			}
			if len(w.exist) != 2 || w.index("ready") >= 0 {
				t.Errorf("machines left: %v, READY at %d", w.exist, w.index("ready"))
			}
		})
	}
}
