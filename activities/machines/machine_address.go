package machines

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// verifyHostKeyTimeout bounds the wait for a machine at a new address.
const verifyHostKeyTimeout = 30 * time.Second

// RecordAddress handles a machine that the cloud lists at another address than the recorded one. If the cloud can
// assign addresses, it gives the machine its recorded address again. Otherwise the new address is recorded, once the
// machine has shown its pinned host key there: an address can pass to another machine, the key can't.
func (a *Activities) RecordAddress(ctx context.Context, m activities.MachineRef) error {
	const step = "record the address"
	c, onCloud, owner, err := a.readClusterAndCloud(ctx, m.Cluster)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	record, err := activities.FindMachineRecord(c, m)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	listed, err := a.listClusterMachines(ctx, c, onCloud, owner)
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	target := activities.CloudTargetOf(owner, *record)
	found, err := target.FindMachine(listed)
	if err == nil && (found == nil || found.State != cloud.StateRunning) {
		err = &cloud.Error{Kind: cloud.Transient, Message: "the cloud does not list it as running"}
	}
	if err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	up := keepUnlistedAddresses(record, *found)
	if starter, can := onCloud.(cloud.Starter); can && up.PrivateAddress != record.PrivateAddress {
		bootCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.Boot)
		defer cancel()
		if up, err = starter.StartMachine(bootCtx, target, record.PrivateAddress); err != nil {
			return activities.StepError(ctx, step, m.Name, activities.AsDeadlineError(bootCtx, err))
		}
		up = keepUnlistedAddresses(record, up)
	}
	if hasSameAddresses(record, up) {
		return nil
	}
	if err := a.verifyHostKey(ctx, c, record, up); err != nil {
		return activities.StepError(ctx, step, m.Name, err)
	}
	return activities.StepError(ctx, step, m.Name, a.recordNewAddress(ctx, c, m, up))
}

// keepUnlistedAddresses completes what a cloud lists of a machine with what is recorded of it: a cloud may not know a
// machine's private address, with which RKE2 is configured.
func keepUnlistedAddresses(r *api.Machine, up cloud.Machine) cloud.Machine {
	up.Address = cmp.Or(up.Address, r.Address)
	up.PrivateAddress = cmp.Or(up.PrivateAddress, r.PrivateAddress)
	up.SSHPort = cmp.Or(up.SSHPort, r.SSHPort)
	return up
}

func hasSameAddresses(r *api.Machine, up cloud.Machine) bool {
	return r.Address == up.Address && r.PrivateAddress == up.PrivateAddress && r.SSHPort == up.SSHPort
}

// verifyHostKey checks that a machine shows its pinned host key at the address that the cloud lists.
func (a *Activities) verifyHostKey(ctx context.Context, c *api.Cluster, record *api.Machine,
	up cloud.Machine) error {
	if record.HostKey == "" {
		return &cloud.Error{Kind: cloud.Conflict,
			Message: fmt.Sprintf("its host key was never pinned, so it can't be verified at %s", up.Address)}
	}
	key, err := a.Store.ReadSecret(ctx, c.Ref(), store.SecretSSHKey)
	if err != nil {
		return err
	}
	target := sshtarget.Of(c, record)
	target.Address, target.Port = up.Address, up.SSHPort
	waitCtx, cancel := context.WithTimeout(ctx, verifyHostKeyTimeout)
	defer cancel()
	if _, err := a.Pool.AwaitHost(waitCtx, target, key, func(string) {}); err != nil {
		return fmt.Errorf("the cloud lists it at %s, where it can't be verified: %w", up.Address, err)
	}
	return nil
}

// recordNewAddress records a machine's new address. Before that, it records for each machine that uses the old address
// what RKE2 is configured for, so that the next step finds the configuration outdated.
func (a *Activities) recordNewAddress(ctx context.Context, c *api.Cluster, m activities.MachineRef,
	up cloud.Machine) error {
	head, err := c.Head()
	if err != nil {
		return err
	}
	keep := func(r *api.Machine) {
		if r.ConfiguredFor == "" && r.State == api.MachineReady {
			r.ConfiguredFor = r.ConfigAddresses(head)
		}
	}
	if m.Role == api.RoleHead && up.PrivateAddress != head.PrivateAddress {
		all, err := activities.ReadCluster(ctx, a.Store, m.Cluster)
		if err != nil {
			return err
		}
		for _, other := range all.Status.Machines {
			if other.Role == api.RoleHead || other.State != api.MachineReady {
				continue
			}
			_, err := a.Store.UpdateMachine(ctx, m.Cluster, other.Index, other.Incarnation,
				func(r *api.Machine) error { keep(r); return nil })
			if err != nil && !activities.IsUnwanted(err) {
				return err
			}
		}
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		keep(r)
		r.Address, r.PrivateAddress, r.SSHPort = up.Address, up.PrivateAddress, up.SSHPort
		return nil
	})
	if err == nil && a.Pool != nil {
		a.Pool.ForgetMachine(m.Name)
	}
	return err
}
