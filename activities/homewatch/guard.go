package homewatch

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/sky-shift/skyctl/activities"
)

// guardedActivities are the activities that change machines, or resources of a cloud. The activities of sweeps check
// for themselves.
var guardedActivities = map[string]bool{
	"Submit": true, "Await": true, "Terminate": true, "Release": true, "StartMachine": true,
	"Prepare": true, "StartHead": true, "Join": true, "Arm": true, "Disarm": true, "Retire": true,
	"ForgetNode": true, "Restart": true, "RefreshCredentials": true, "ApplyGPUs": true, "TryGPU": true,
	"RestoreKeys": true, "DrainMachine": true, "UpdateNode": true, "UncordonNode": true,
	"TakeSnapshot": true, "CollectSnapshot": true, "DeleteSnapshot": true, "DeleteClusterSnapshots": true,
	"SendSnapshot": true, "StopServer": true, "RestoreServer": true, "RejoinWorker": true, "CleanRestored": true,
}

// NewMachineGuard returns an interceptor that makes activities wait while the home is in doubt, if they change
// machines. A copy of a state directory also contains the operations that were running: there they resume only once the
// copy is adopted.
func (w *Watch) NewMachineGuard() interceptor.WorkerInterceptor { return &machineGuard{watch: w} }

type machineGuard struct {
	interceptor.WorkerInterceptorBase
	watch *Watch
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (g *machineGuard) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	of := &guardedActivity{watch: g.watch}
	of.Next = next
	return of
}

type guardedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	watch *Watch
}

// ExecuteActivity runs the activity once the home is not in doubt.
func (g *guardedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if name := activity.GetInfo(ctx).ActivityType.Name; guardedActivities[name] {
		say := func(why string) { activity.GetLogger(ctx).Warn(name + " is " + why) }
		if err := g.watch.AwaitNoDoubt(ctx, say); err != nil {
			return nil, activities.StepError(ctx, "check that this state is the installation's home", "", err)
		}
	}
	return g.Next.ExecuteActivity(ctx, in)
}
