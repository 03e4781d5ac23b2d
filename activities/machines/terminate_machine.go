package machines

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// TerminateInput names a machine of a cluster. It may have no record in etcd.
type TerminateInput struct {
	Cluster api.Ref `json:"cluster"`
	Name    string  `json:"name"`
	// Incarnation is the one to terminate; another one with its index is not touched. Older inputs lack it.
	Incarnation string `json:"incarnation,omitempty"`
	// ID is the cloud's own id of the machine. ID and Index are set if they are known; older inputs lack them.
	ID    string `json:"id,omitempty"`
	Index int    `json:"index,omitempty"`
	// Unrecorded: the machine has no record, whatever its index has by now.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// Terminate terminates a machine, and marks it gone once the cloud no longer lists it.
func (a *Activities) Terminate(ctx context.Context, in TerminateInput) error {
	const step = "terminate"
	c, err := a.readClusterOfMachine(ctx, in)
	if err != nil {
		return activities.StepError(ctx, step, in.Name, err)
	}
	onCloud, owner, err := a.findCloudAndOwner(ctx, c)
	if err != nil {
		return activities.StepError(ctx, step, in.Name, err)
	}
	record, late := findRecordToTerminate(c, in)
	if late && !in.Unrecorded {
		return nil // another machine has its index, so this one was confirmed gone: this call comes late
	}
	if record == nil {
		return activities.StepError(ctx, step, in.Name, a.terminateUnrecorded(ctx, onCloud, owner, in))
	}
	if record.State != api.MachineGone {
		if err := a.recordTerminating(ctx, activities.MachineRefOf(in.Cluster, *record)); err != nil {
			return activities.StepError(ctx, step, in.Name, err)
		}
	}
	target := activities.CloudTargetOf(owner, *record)
	target.ID = cmp.Or(target.ID, in.ID)
	terminateCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	if err := onCloud.TerminateMachine(terminateCtx, target); err != nil {
		return a.recordTerminateError(ctx, step, in, record, err)
	}
	if record.State == api.MachineGone {
		return nil
	}
	if err := a.recordMachineGone(ctx, in.Cluster, *record); err != nil {
		return activities.StepError(ctx, step, in.Name, err)
	}
	if record.Placement.PricePerMachine > 0 {
		m := activities.MachineRefOf(in.Cluster, *record)
		a.updateLifetimes(ctx, in.Cluster, onCloud, owner, &m)
	}
	return nil
}

// readClusterOfMachine reads a cluster with the machine that has a name, which contains its index.
func (a *Activities) readClusterOfMachine(ctx context.Context, in TerminateInput) (*api.Cluster, error) {
	index, err := strconv.Atoi(in.Name[strings.LastIndex(in.Name, "-")+1:])
	if err != nil || index < 0 || api.MachineName(in.Cluster.Name, index) != in.Name {
		return activities.ReadCluster(ctx, a.Store, in.Cluster) // a copy, say
	}
	return a.Store.ReadClusterPart(ctx, in.Cluster, index)
}

// recordTerminating records that a machine is being terminated. It keeps the trouble of a termination that is retried.
func (a *Activities) recordTerminating(ctx context.Context, m activities.MachineRef) error {
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.State != api.MachineTerminating || r.Trouble == "" {
			r.SetState(api.MachineTerminating, "terminating", a.Now())
		}
		return nil
	})
	return err
}

func (a *Activities) recordTerminateError(ctx context.Context, step string, in TerminateInput, record *api.Machine,
	err error) error {
	if record.State == api.MachineGone { // a machine that is gone is not shown
		return activities.StepError(ctx, step, in.Name, err)
	}
	return a.recordStepError(ctx, step, activities.MachineRefOf(in.Cluster, *record), err)
}

// findRecordToTerminate returns the record of the machine to terminate; nil if it has none. It reports late if another
// machine has its index by now.
func findRecordToTerminate(c *api.Cluster, in TerminateInput) (record *api.Machine, late bool) {
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		switch {
		case m.Name != in.Name, in.ID != "" && activities.RecordedCloudID(*m) != "" &&
			in.ID != activities.RecordedCloudID(*m):
		case in.Incarnation == "" || in.Incarnation == m.Incarnation:
			return m, false
		case in.ID == "":
			late = true
		}
	}
	return nil, late
}

// terminateUnrecorded terminates a machine that carries a cluster's labels and has no record. It refuses if the machine
// may be a copy of a recorded one.
func (a *Activities) terminateUnrecorded(ctx context.Context, onCloud cloud.Cloud, owner cloud.Owner,
	in TerminateInput) error {
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return err
	}
	for _, m := range c.Status.Machines {
		if in.Incarnation == m.Incarnation || in.ID != "" && in.ID == m.CloudID {
			return &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
				"machine %s (id %s) was not terminated: it carries the labels of %s, which has a record; "+
					"terminate or relabel it by hand", in.Name, in.ID, m.Name)}
		}
	}
	target := cloud.Target{Owner: owner, Name: in.Name, Index: in.Index, Incarnation: in.Incarnation, ID: in.ID}
	if in.ID == "" && !in.Unrecorded {
		listed, err := a.listClusterMachines(ctx, c, onCloud, owner)
		if err != nil {
			return err
		}
		found, err := findUnrecorded(c, listed, in)
		if err != nil || found == nil {
			return err
		}
		target = cloud.TargetOf(*found)
	}
	terminateCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	return onCloud.TerminateMachine(terminateCtx, target)
}

// findUnrecorded returns the only listed machine that an input without an id can mean; nil if it is not listed. The
// error is a Conflict if it may be another machine.
func findUnrecorded(c *api.Cluster, listed []cloud.Machine, in TerminateInput) (*cloud.Machine, error) {
	var found *cloud.Machine
	for i, m := range listed {
		if m.Name != in.Name || in.Incarnation != "" && in.Incarnation != m.Incarnation {
			continue
		}
		copied := found != nil || m.Name != m.LabelledName()
		for _, r := range c.Status.Machines {
			copied = copied || r.Incarnation == m.Incarnation || r.CloudID != "" && r.CloudID == m.ID
		}
		if copied {
			return nil, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
				"machine %s (id %s) was not terminated: it may be a copy, because its labels name %s, "+
					"incarnation %s; terminate or relabel it by hand",
				m.Name, m.ID, m.LabelledName(), m.Incarnation)}
		}
		found = &listed[i]
	}
	return found, nil
}
