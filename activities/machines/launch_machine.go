package machines

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdkworker "go.temporal.io/sdk/worker"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Submit requests a machine from the cloud, and returns the cloud's reference to the launch.
func (a *Activities) Submit(ctx context.Context, m activities.MachineRef) (string, error) {
	const step = "launch"
	onCloud, req, err := a.newLaunchRequest(ctx, m)
	if err != nil {
		return "", a.recordStepError(ctx, step, m, err)
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.State == api.MachineReserved {
			r.SetState(api.MachineLaunching, "requesting the machine", a.Now())
		}
		return activities.CheckStillWanted(r)
	})
	if err != nil {
		return "", a.recordStepError(ctx, step, m, err)
	}
	bootCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Boot)
	defer cancel()
	ref, err := onCloud.SubmitLaunch(bootCtx, req)
	if err != nil {
		return "", a.recordStepError(ctx, step, m, activities.AsDeadlineError(bootCtx, err))
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.LaunchRef = ref
		return activities.CheckStillWanted(r)
	})
	if activities.IsUnwanted(err) {
		// Its clean-up is already done, so nothing else would find this machine.
		err = errors.Join(err, a.terminateUnwanted(ctx, onCloud, req))
	}
	return ref, a.recordStepError(ctx, step, m, err)
}

// recheckStillWanted reads the machine's record again, and fails if the machine must not be launched any longer.
func (a *Activities) recheckStillWanted(ctx context.Context, m activities.MachineRef) error {
	_, record, err := activities.ReadMachine(ctx, a.Store, m)
	if err != nil {
		return err
	}
	return activities.CheckStillWanted(record)
}

// listInterval is the pause between listings while a machine is expected to appear.
const listInterval = 500 * time.Millisecond

// terminateUnwanted terminates the machine that was just launched, unless the name belongs to another incarnation by
// now. The cloud's list may be out of date, so it waits until a machine of that name is listed.
func (a *Activities) terminateUnwanted(ctx context.Context, onCloud cloud.Cloud, req cloud.LaunchRequest) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Deadlines.Terminate)
	defer cancel()
	for {
		listed, err := onCloud.ListMachines(ctx, req.Owner)
		for _, m := range listed {
			switch {
			case m.Name != req.Name:
			case m.Incarnation != req.Incarnation:
				return nil
			default:
				if err = onCloud.TerminateMachine(ctx, cloud.TargetOf(m)); err == nil {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("machine %s was launched after its clean-up and may keep costing money: "+
				"terminate it on the cloud", req.Name), err)
		case <-time.After(listInterval):
		}
	}
}

// AwaitInput names a submitted launch.
type AwaitInput struct {
	Machine activities.MachineRef `json:"machine"`
	Launch  string                `json:"launch"`
}

// Await waits until the machine is up, and records its addresses.
func (a *Activities) Await(ctx context.Context, in AwaitInput) error {
	const step = "launch"
	m := in.Machine
	onCloud, req, err := a.newLaunchRequest(ctx, m)
	if err != nil {
		return a.recordStepError(ctx, step, m, err)
	}
	bootCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Boot)
	defer cancel()
	req.Wanted = func(ctx context.Context) error { return a.recheckStillWanted(ctx, m) }
	up, err := onCloud.AwaitLaunch(bootCtx, req, in.Launch, activities.NewLaunchReporter(ctx, a.Store, m, a.Now))
	if errors.Is(ctx.Err(), context.Canceled) && !errors.Is(context.Cause(ctx), sdkworker.ErrWorkerShutdown) {
		err = errors.Join(err, a.cancelLaunch(ctx, onCloud, in.Launch))
	}
	if err != nil {
		return a.recordStepError(ctx, step, m, activities.AsDeadlineError(bootCtx, err))
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.CloudID, r.Address, r.PrivateAddress = up.ID, up.Address, up.PrivateAddress
		r.SSHUser, r.SSHPort = up.SSHUser, up.SSHPort
		r.CPUs, r.MemoryGiB = up.CPUs, up.MemoryGiB
		if up.HostKey != "" {
			r.HostKey = up.HostKey
		}
		if r.State == api.MachineLaunching {
			r.SetState(api.MachineUp, "", a.Now())
		}
		return activities.CheckStillWanted(r)
	})
	if activities.IsUnwanted(err) {
		// it may have been launched again after its clean-up
		err = errors.Join(err, a.terminateUnwanted(ctx, onCloud, req))
	}
	if err == nil && req.Placement.PricePerMachine > 0 {
		a.updateLifetimes(ctx, m.Cluster, onCloud, req.Owner, &m)
	}
	return a.recordStepError(ctx, step, m, err)
}

// cancelLaunch cancels a launch on the cloud. Terminate handles what it has created.
func (a *Activities) cancelLaunch(ctx context.Context, onCloud cloud.Cloud, launch string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Deadlines.Query)
	defer cancel()
	return onCloud.CancelLaunch(ctx, launch)
}

// newLaunchRequest collects what the cloud needs to launch a machine, including keys.
func (a *Activities) newLaunchRequest(ctx context.Context, m activities.MachineRef) (cloud.Cloud, cloud.LaunchRequest,
	error) {
	none := cloud.LaunchRequest{}
	c, record, err := activities.ReadMachine(ctx, a.Store, m)
	if err != nil {
		return nil, none, err
	}
	onCloud, err := a.Clouds.FindCloud(c.CloudName())
	if err != nil {
		return nil, none, err
	}
	owner, err := a.readCloudOwner(ctx, m.Cluster)
	if err != nil {
		return nil, none, err
	}
	login, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, none, err
	}
	public, err := remote.PublicKeyOf(login)
	if err != nil {
		return nil, none, err
	}
	host, err := a.ensureHostKey(ctx, m, record)
	if err != nil {
		return nil, none, err
	}
	spec := c.Spec.GroupOf(*record)
	spec.UseSpot = spec.UseSpot && !record.Placement.OnDemand
	return onCloud, cloud.LaunchRequest{
		Owner: owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation,
		Placement: record.Placement, Role: record.Role, Spec: spec, Labels: c.Metadata.Labels,
		AuthorizedKey: public, HostKey: host,
		FindRoute: func(launched cloud.Machine) cloud.Route {
			t := sshtarget.Of(c, record)
			t.Address, t.Port = launched.Address, launched.SSHPort
			return a.Pool.FindRoute(t)
		},
	}, nil
}

// ensureHostKey returns the host key for a machine. A lost key is created again, unless a launch may have used it.
func (a *Activities) ensureHostKey(ctx context.Context, m activities.MachineRef, record *api.Machine) ([]byte, error) {
	name := store.SecretHostKey(m.Incarnation)
	key, err := a.Store.ReadSecret(ctx, m.Cluster, name)
	if missing := new(store.NotFoundError); !errors.As(err, &missing) || record.State != api.MachineReserved {
		return key, err
	}
	fresh, _, err := remote.NewKeyPair()
	if err != nil {
		return nil, err
	}
	return a.Store.CreateSecret(ctx, m.Cluster, name, fresh)
}
