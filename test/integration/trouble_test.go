package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// refuseOnce makes the first call at a point fail with a transient error, and calls a function at the second.
func (w *world) refuseOnce(op simcloud.Op, machine string, again func(ctx context.Context)) {
	w.cloud.InjectFault(simcloud.Fault{Op: op, Machine: machine, Times: 1, Err: simcloud.NewRefusal(cloud.Transient)})
	w.cloud.InjectFault(simcloud.Fault{Op: op, Machine: machine, Times: 1, Do: func(ctx context.Context) error {
		again(ctx)
		return nil
	}})
}

func TestRetriedStepShowsWhyAndSinceWhen(t *testing.T) {
	w := newWorld(t)
	seen := map[simcloud.Op]*api.Cluster{}
	see := func(op simcloud.Op) func(context.Context) {
		return func(ctx context.Context) {
			c, err := w.store.ReadCluster(ctx, "troubled")
			if err != nil {
				t.Error(err)
			}
			seen[op] = c
		}
	}
	const worker = "sky-troubled-1"
	for _, op := range []simcloud.Op{simcloud.OpSubmit, simcloud.OpAwait, simcloud.OpTerminate} {
		w.refuseOnce(op, worker, see(op))
	}
	w.refuseOnce(simcloud.OpRelease, "", see(simcloud.OpRelease))
	ref := w.create("troubled", 2, client.CreateOptions{})
	if m := w.awaitReady(ref).Status.Machines[1]; m.Trouble != "" || m.Step != "" {
		t.Errorf("of a machine that is Ready: %q, %q", m.Trouble, m.Step)
	}
	w.delete(ref, false)
	w.awaitGone(ref)
	why := simcloud.NewRefusal(cloud.Transient).Error()
	for _, op := range []simcloud.Op{simcloud.OpSubmit, simcloud.OpAwait, simcloud.OpTerminate} {
		m := seen[op].Status.Machines[1]
		if !strings.Contains(m.Step, why) {
			t.Errorf("%s: while it is retried, the step shows %q", op, m.Step)
		}
		if op != simcloud.OpTerminate && (m.LaunchedAt.IsZero() || !m.Since.Equal(m.LaunchedAt)) {
			t.Errorf("%s: since %v, but it was requested at %v", op, m.Since, m.LaunchedAt)
		}
	}
	if f := seen[simcloud.OpRelease].Status.Failure; f == nil || f.Step != api.StepRelease ||
		!strings.Contains(f.Message, why) {
		t.Errorf("%s: while it is retried, the failure is %+v", simcloud.OpRelease, f)
	}
}
