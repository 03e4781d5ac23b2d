package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

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
