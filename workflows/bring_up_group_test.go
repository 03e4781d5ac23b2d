package workflows

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func TestPowerOffTimeCountsFromTheLaunchThatSucceeds(t *testing.T) {
	env := newEnvironment()
	env.RegisterWorkflow(BringUp)
	env.RegisterActivity(&machines.Activities{})
	env.RegisterActivity(&nodes.Activities{})
	m := activities.MachineRef{Cluster: ref, Index: 1, Name: api.MachineName(ref.Name, 1), Incarnation: "aaaaa",
		Role: api.RoleWorker, Pool: api.DefaultPool}
	moved := m
	moved.Incarnation = "bbbbb"
	other := dear
	other.Zone = "b"
	env.OnActivity(machineActivities.Submit, mock.Anything, m).After(25*time.Minute).Return("",
		temporal.NewNonRetryableApplicationError("no room", string(cloud.Capacity), nil))
	env.OnActivity(machineActivities.Submit, mock.Anything, moved).Return("launch", nil)
	env.OnActivity(machineActivities.Await, mock.Anything, mock.Anything).Return(nil)
	env.OnActivity(machineActivities.Terminate, mock.Anything, mock.Anything).Return(nil)
	env.OnActivity(machineActivities.RecordPoolAttempt, mock.Anything, mock.Anything).Return(nil)
	env.OnActivity(machineActivities.PlanPool, mock.Anything, mock.Anything).Return(
		machines.PoolPlan{Placements: []api.Placement{other}}, nil)
	env.OnActivity(machineActivities.RepositionMachine, mock.Anything, mock.Anything).Return(moved, nil)
	for _, step := range []any{nodeActivities.Prepare, nodeActivities.Join, nodeActivities.AwaitNode,
		nodeActivities.Disarm} {
		env.OnActivity(step, mock.Anything, moved).Return(nil)
	}
	var left time.Duration
	env.OnActivity(nodeActivities.Arm, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in nodes.ArmInput) error {
			left = in.At.Sub(env.Now())
			return nil
		})
	env.ExecuteWorkflow(BringUp, BringUpInput{Cluster: ref, Pool: api.DefaultPool, JoinsAtOnce: 1,
		Machines: []activities.MachineRef{m}, Placements: []api.Placement{dear},
		PowerOffAt: env.Now().Add(operation.DefaultProvisionTimeout + powerOffMargin)})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if left < operation.DefaultProvisionTimeout+powerOffMargin-time.Minute {
		t.Errorf("the machine powers itself off %v after it was launched", left)
	}
}

// TestOneSignalTellsTheParentOfSeveralMachines: they end one by one, the last one alone.
func TestOneSignalTellsTheParentOfSeveralMachines(t *testing.T) {
	for _, c := range []struct {
		version workflow.Version
		want    [][]int
	}{
		{1, [][]int{{1, 2, 3}, {4}}},
		{workflow.DefaultVersion, [][]int{{1}, {2}, {3}, {4}}},
	} {
		env := newEnvironment()
		env.RegisterWorkflow(BringUp)
		env.RegisterActivity(&machines.Activities{})
		env.RegisterActivity(&nodes.Activities{})
		env.OnGetVersion("gather-outcomes", workflow.DefaultVersion, workflow.Version(1)).Return(c.version)
		env.OnActivity(machineActivities.Submit, mock.Anything, mock.Anything).Return("", nil)
		env.OnActivity(machineActivities.Await, mock.Anything, mock.Anything).Return(nil)
		for _, step := range []any{nodeActivities.Prepare, nodeActivities.Join} {
			env.OnActivity(step, mock.Anything, mock.Anything).Return(nil)
		}
		in := BringUpInput{Cluster: ref, Pool: api.DefaultPool, JoinsAtOnce: 9}
		for i := 1; i <= 4; i++ {
			m := activities.MachineRef{Cluster: ref, Index: i, Name: api.MachineName(ref.Name, i), Incarnation: "aaaaa",
				Role: api.RoleWorker, Pool: api.DefaultPool}
			in.Machines, in.Placements = append(in.Machines, m), append(in.Placements, here)
			takes := time.Minute + time.Duration(i)*gatherOutcomes/5
			if i == 4 {
				takes += time.Minute
			}
			env.OnActivity(nodeActivities.AwaitNode, mock.Anything, m).After(takes).Return(nil)
		}
		env.RegisterWorkflow(receiveSignals)
		env.ExecuteWorkflow(receiveSignals, in)
		var got [][]int
		if err := env.GetWorkflowResult(&got); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("version %d: signals %v, want %v", c.version, got, c.want)
		}
	}
}

// receiveSignals returns the machines of each signal that a group sends to its parent.
func receiveSignals(ctx workflow.Context, in BringUpInput) (received [][]int, _ error) {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var outcomes []machineOutcome
			workflow.GetSignalChannel(ctx, signalMachinesEnded).Receive(ctx, &outcomes)
			var indexes []int
			for _, o := range outcomes {
				indexes = append(indexes, o.Index)
			}
			received = append(received, indexes)
		}
	})
	err := workflow.ExecuteChildWorkflow(ctx, BringUp, in).Get(ctx, nil)
	return received, err
}
