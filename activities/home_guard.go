package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// postponeOrphans leaves orphans alone while it is in doubt whose they are, and counts their time from an adoption that
// ended the doubt: until then they may have been somebody's cluster.
func (a *Sweeps) postponeOrphans(ctx context.Context, r *operation.OrphansResult) error {
	if a.Home == nil {
		return nil
	}
	doubt, err := a.Home.ReadDoubt(ctx)
	if err != nil {
		return err
	}
	h, err := a.Store.ReadHome(ctx)
	if err != nil {
		return err
	}
	r.Doubt = doubt
	for i := range r.Orphans {
		o := &r.Orphans[i]
		switch {
		case o.TerminateAt.IsZero():
		case doubt != nil:
			o.TerminateAt = time.Time{}
		case h.AdoptedAt.After(o.FirstSeen):
			o.TerminateAt = h.AdoptedAt.Add(a.OrphanGrace)
		}
	}
	return nil
}

// withholdActions takes from a decision all that would be done while the home is in doubt.
func (a *Sweeps) withholdActions(ctx context.Context, d *plan.Decision) error {
	if len(d.Drift)+len(d.Actions) == 0 && d.Fail == nil {
		return nil
	}
	doubt, err := a.Home.ReadDoubt(ctx)
	if err != nil || doubt == nil {
		return err
	}
	d.Actions, d.Fail = nil, nil
	for i := range d.Drift {
		d.Drift[i].Next = api.HomeHeld
	}
	return nil
}

// guardedActivities are the activities that change machines, or what a cloud has. Those of sweeps look for themselves.
var guardedActivities = map[string]bool{
	"Submit": true, "Await": true, "Terminate": true, "Release": true, "StartMachine": true,
	"Prepare": true, "StartHead": true, "Join": true, "Arm": true, "Disarm": true, "Retire": true,
	"ForgetNode": true, "Restart": true, "RefreshCredentials": true, "ApplyGPUs": true, "TryGPU": true,
	"RestoreKeys": true,
}

// NewMachineGuard keeps the activities that change machines waiting while the home is in doubt. Operations that were
// under way when a state directory was copied are under way in the copy too: they go on there only once somebody has
// adopted it.
func (w *HomeWatch) NewMachineGuard() interceptor.WorkerInterceptor { return &machineGuard{watch: w} }

type machineGuard struct {
	interceptor.WorkerInterceptorBase
	watch *HomeWatch
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
	watch *HomeWatch
}

// ExecuteActivity runs the activity once nothing speaks against this state.
func (g *guardedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if name := activity.GetInfo(ctx).ActivityType.Name; guardedActivities[name] {
		say := func(why string) { activity.GetLogger(ctx).Warn(name + " is " + why) }
		if err := g.watch.AwaitNoDoubt(ctx, say); err != nil {
			return nil, stepError(ctx, "see whether this state is the installation's home", "", err)
		}
	}
	return g.Next.ExecuteActivity(ctx, in)
}
