package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// cloudTargetOf is the machine of a record as a target.
func cloudTargetOf(owner cloud.Owner, m api.Machine) cloud.Target {
	return cloud.Target{Owner: owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: recordedCloudID(m),
		Cloud: m.Placement.Cloud}
}

// recordedCloudID is the cloud's own id of a record's machine, where it is on record: the version before recorded the
// name that SkyPilot gave a machine on its cloud where it was told no id.
func recordedCloudID(m api.Machine) string {
	if strings.HasPrefix(m.CloudID, m.Name+"-") {
		return ""
	}
	return m.CloudID
}

// TerminateInput names a machine of a cluster; it need not be in etcd.
type TerminateInput struct {
	Cluster api.Ref `json:"cluster"`
	Name    string  `json:"name"`
	// Incarnation is the one that is meant: another one in its place is left alone. Older inputs lack it.
	Incarnation string `json:"incarnation,omitempty"`
	// ID is the cloud's own id of the machine, and Index its place, where they are known: older inputs lack them.
	ID    string `json:"id,omitempty"`
	Index int    `json:"index,omitempty"`
	// Unrecorded: it is meant to be one that etcd does not have, whatever its place has by now.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// Terminate ends a machine, and marks it gone once the cloud no longer lists it.
func (a *Machines) Terminate(ctx context.Context, in TerminateInput) error {
	const step = "terminate"
	c, of, owner, err := a.readClusterAndCloud(ctx, in.Cluster)
	if err != nil {
		return stepError(ctx, step, in.Name, err)
	}
	record, late := findRecordToTerminate(c, in)
	if late && !in.Unrecorded {
		return nil // its place was given to another one, which is done once it is seen to be gone: this call comes late
	}
	if record == nil {
		return stepError(ctx, step, in.Name, a.terminateUnrecorded(ctx, c, of, owner, in))
	}
	if record.State != api.MachineGone {
		if err := a.recordTerminating(ctx, machineRefOf(in.Cluster, *record)); err != nil {
			return stepError(ctx, step, in.Name, err)
		}
	}
	target := cloudTargetOf(owner, *record)
	target.ID = cmp.Or(target.ID, in.ID)
	end, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	if err := of.TerminateMachine(end, target); err != nil {
		return a.recordTerminateError(ctx, step, in, record, err)
	}
	if record.State == api.MachineGone {
		return nil
	}
	if err := a.recordMachineGone(ctx, in.Cluster, *record); err != nil {
		return stepError(ctx, step, in.Name, err)
	}
	if record.Placement.PricePerMachine > 0 {
		a.updateLifetimes(ctx, in.Cluster, of, owner)
	}
	return nil
}

// recordTerminating records that a machine is being ended. One whose end is tried again shows why.
func (a *Machines) recordTerminating(ctx context.Context, m MachineRef) error {
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.State != api.MachineTerminating || r.Trouble == "" {
			r.SetState(api.MachineTerminating, "terminating", a.Now())
		}
		return nil
	})
	return err
}

func (a *Machines) recordTerminateError(ctx context.Context, step string, in TerminateInput, record *api.Machine,
	err error) error {
	if record.State == api.MachineGone { // nothing is shown of it
		return stepError(ctx, step, in.Name, err)
	}
	return a.recordStepError(ctx, step, machineRefOf(in.Cluster, *record), err)
}

// findRecordToTerminate is the record of the machine that is to be ended, nil where it has none. It is late where its
// place has another machine by now.
func findRecordToTerminate(c *api.Cluster, in TerminateInput) (record *api.Machine, late bool) {
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		switch {
		case m.Name != in.Name, in.ID != "" && recordedCloudID(*m) != "" && in.ID != recordedCloudID(*m):
		case in.Incarnation == "" || in.Incarnation == m.Incarnation:
			return m, false
		case in.ID == "":
			late = true
		}
	}
	return nil, late
}

// terminateUnrecorded ends a machine that carries a cluster's labels and has no record. One that may be a copy of a
// machine which has one is left alone.
func (a *Machines) terminateUnrecorded(ctx context.Context, c *api.Cluster, of cloud.Cloud, owner cloud.Owner,
	in TerminateInput) error {
	for _, m := range c.Status.Machines {
		if in.Incarnation == m.Incarnation || in.ID != "" && in.ID == m.CloudID {
			return &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
				"machine %s (id %s) is left alone: it carries the labels of %s, which is on record; "+
					"end or relabel it by hand", in.Name, in.ID, m.Name)}
		}
	}
	target := cloud.Target{Owner: owner, Name: in.Name, Index: in.Index, Incarnation: in.Incarnation, ID: in.ID}
	if in.ID == "" && !in.Unrecorded {
		listed, err := a.listClusterMachines(ctx, c, of, owner)
		if err != nil {
			return err
		}
		found, err := findUnrecorded(c, listed, in)
		if err != nil || found == nil {
			return err
		}
		target = cloud.TargetOf(*found)
	}
	end, cancel := context.WithTimeout(ctx, a.Deadlines.Terminate)
	defer cancel()
	return of.TerminateMachine(end, target)
}

// findUnrecorded finds the one listed machine that an input without an id names; nil where it is not listed, and a
// Conflict where that may be another one.
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
				"machine %s (id %s) is left alone: it may be a copy of another one, since its labels make it %s, "+
					"incarnation %s; end or relabel it by hand",
				m.Name, m.ID, m.LabelledName(), m.Incarnation)}
		}
		found = &listed[i]
	}
	return found, nil
}

// ExistingMachine is a machine that a cluster may have. Older histories have its name alone.
type ExistingMachine struct {
	Name        string `json:"name"`
	Index       int    `json:"index,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	ID          string `json:"id,omitempty"`
	// Unrecorded: etcd does not have it.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// UnmarshalJSON reads what older workers have returned, too.
func (e *ExistingMachine) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &e.Name)
	}
	type plain ExistingMachine
	return json.Unmarshal(data, (*plain)(e))
}

// splitByConflict tells the listed machines that are beyond doubt a cluster's own from those that name, labels or id
// speak against: copies, machines that were renamed or labelled anew, and others. No end of the cluster is an end of
// those.
func splitByConflict(c *api.Cluster, listed []cloud.Machine, remembered map[string]string) (own []cloud.Machine,
	others []cloud.ConflictingMachine) {
	for i, m := range listed {
		if why := conflictReason(c, listed, i, remembered[m.Key()]); why != "" {
			others = append(others, cloud.ConflictingMachine{Machine: m, Why: why})
		} else {
			own = append(own, m)
		}
	}
	return own, others
}

// conflictReason says why a listed machine is not beyond doubt a cluster's own, which may have been found before; empty
// where it is.
func conflictReason(c *api.Cluster, listed []cloud.Machine, i int, before string) string {
	m := listed[i]
	for _, r := range c.Status.Machines {
		byID := r.CloudID != "" && r.CloudID == m.ID
		switch {
		case byID && (m.Incarnation != r.Incarnation || m.Index != r.Index):
			return fmt.Sprintf("it is %s by its id, and labelled as %s, incarnation %s", r.Name, m.LabelledName(),
				m.Incarnation)
		case byID:
			return ""
		}
	}
	for _, r := range c.Status.Machines {
		switch {
		case r.Incarnation != m.Incarnation:
		case recordedCloudID(r) != "" && m.ID != "":
			return fmt.Sprintf("it carries the labels of %s, which is another machine (id %s): it may be a copy",
				r.Name,
				r.CloudID)
		case m.Name != r.Name:
			return fmt.Sprintf("it carries the labels of %s under another name: it may be a copy", r.Name)
		default:
			return ""
		}
	}
	return cmp.Or(cloud.LabelConflict(listed, i), before)
}

// mergeExisting are the machines that have to be ended for a cluster to be gone, by their names.
func mergeExisting(c *api.Cluster, own []cloud.Machine, others []cloud.ConflictingMachine) []ExistingMachine {
	var all []ExistingMachine
	for _, m := range own {
		all = append(all, ExistingMachine{Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: m.ID,
			Unrecorded: true})
	}
	for _, r := range c.Status.Machines {
		listed := false
		for i, e := range all {
			if r.CloudID != "" && e.ID == r.CloudID || e.Incarnation == r.Incarnation && e.Name == r.Name {
				all[i].Name, all[i].Unrecorded, listed = r.Name, false, true
			}
		}
		// ending it would be a Conflict
		changed := func(k cloud.ConflictingMachine) bool { return r.CloudID != "" && k.ID == r.CloudID }
		if !listed && r.State != api.MachineGone && !slices.ContainsFunc(others, changed) {
			all = append(all, ExistingMachine{Name: r.Name, Index: r.Index, Incarnation: r.Incarnation,
				ID: recordedCloudID(r)})
		}
	}
	slices.SortFunc(all, func(a, b ExistingMachine) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}
