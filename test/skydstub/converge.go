package skydstub

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func (w *World) registerConverge(wk worker.Registry) {
	wk.RegisterWorkflowWithOptions(w.runConverge, workflow.RegisterOptions{Name: operation.WorkflowConverge})
	wk.RegisterActivityWithOptions(w.playConverge, activity.RegisterOptions{Name: "playConverge"})
}

// runConverge converges once, and again for each signal that came meanwhile. A delete that cancels it takes over.
func (w *World) runConverge(ctx workflow.Context, in operation.ConvergeInput) error {
	changed := workflow.GetSignalChannel(ctx, operation.SignalChanged)
	for changed.ReceiveAsync(nil) { // the one that it was started with
	}
	for {
		err := workflow.ExecuteActivity(withActivityOptions(ctx), "playConverge", in).Get(ctx, nil)
		if err != nil {
			clean, _ := workflow.NewDisconnectedContext(ctx)
			var deleting bool
			if asked := workflow.ExecuteActivity(withActivityOptions(clean), "deleting", in.Cluster).Get(clean,
				&deleting); asked == nil && deleting {
				return workflow.NewContinueAsNewError(clean, operation.WorkflowDelete,
					operation.DeleteInput{Cluster: in.Cluster})
			}
			return err
		}
		if !changed.ReceiveAsync(nil) {
			return nil
		}
	}
}

func (w *World) playConverge(ctx context.Context, in operation.ConvergeInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).Converge; p != nil {
		return p(ctx, w, in)
	}
	return w.SucceedConverge(ctx, in.Cluster)
}

// SucceedConverge brings the records of a cluster to its spec, as an operation that succeeds does.
func (w *World) SucceedConverge(ctx context.Context, ref api.Ref) error {
	if _, err := w.BeginConverge(ctx, ref, api.MachineLaunching, "launch"); err != nil {
		return err
	}
	c, err := w.BeginConverge(ctx, ref, api.MachineReady, "")
	if err != nil {
		return err
	}
	for _, m := range c.Status.Machines {
		if m.Leaving == "" {
			continue
		}
		if err := w.Store.ForgetMachine(ctx, ref, m.Index, m.Incarnation); err != nil {
			return err
		}
	}
	_, err = w.Store.UpdateCluster(ctx, ref, func(cl *api.Cluster) error {
		cl.Status.SetPhase(api.PhaseReady, "Converged", time.Now().UTC())
		cl.Status.ObservedGeneration, cl.Status.Operation = c.Metadata.Generation, nil
		return nil
	})
	return err
}

// BeginConverge reserves the machines that the spec lacks, marks and ends those that it has too many, and moves new and
// replaced ones to a state.
func (w *World) BeginConverge(ctx context.Context, ref api.Ref, state api.MachineState, step string) (*api.Cluster,
	error) {
	c, err := w.Store.ReadCluster(ctx, ref.Name)
	if err != nil {
		return nil, err
	}
	now, next := time.Now().UTC(), c.Status.NextIndex
	added, removed := 0, 0
	machines := c.Status.Machines
	for i := range machines {
		m := &machines[i]
		m.Pool = m.PoolName()
		if m.ReplaceAsked {
			if _, err := w.Store.UpdateMachine(ctx, ref, m.Index, m.Incarnation, func(old *api.Machine) error {
				old.SetState(api.MachineGone, "", now)
				return nil
			}); err != nil {
				return nil, err
			}
			*m = api.NewMachine(ref.Name, m.Index, m.Pool, "z9k4q", m.Placement, now)
		}
	}
	for _, p := range c.Spec.Pools {
		have := 0
		for i := range machines {
			m := &machines[i]
			if m.PoolName() != p.Name || m.Leaving != "" {
				continue
			}
			if have++; have > p.Replicas {
				m.Leaving = api.LeaveScaledDown
			}
		}
		for ; have < p.Replicas; have++ {
			m := api.NewMachine(ref.Name, next, p.Name, "x7k2p", *c.Status.Placement, now)
			m.Address = fmt.Sprintf("172.30.0.%d", next+2)
			machines, next = append(machines, m), next+1
		}
	}
	for i := range machines {
		switch m := &machines[i]; {
		case m.Leaving != "" && state == api.MachineReady:
			m.SetState(api.MachineGone, "", now)
		case m.Leaving != "":
			m.SetState(api.MachineTerminating, "drain", now)
			removed++
		case m.State != api.MachineReady:
			m.SetState(state, step, now)
			added++
		}
	}
	if err := w.Store.PutMachines(ctx, ref, machines); err != nil {
		return nil, err
	}
	_, err = w.Store.UpdateCluster(ctx, ref, func(cl *api.Cluster) error {
		cl.Status.NextIndex = next
		cl.Status.Operation = &api.OperationStatus{Type: operation.WorkflowConverge, Since: now,
			Doing: fmt.Sprintf("adding %d, removing %d", added, removed)}
		return nil
	})
	c.Status.Machines = machines
	return c, err
}
