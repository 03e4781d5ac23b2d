package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// RestoreBegun is what Restore has to know of a cluster when it starts.
type RestoreBegun struct {
	// Nothing: no restore is requested.
	Nothing bool               `json:"nothing,omitempty"`
	Restore api.RestoreRequest `json:"restore,omitzero"`
	// Head is the server; nil if no machine has that role. HeadID is the id of its machine on the cloud.
	Head   *activities.MachineRef `json:"head,omitempty"`
	HeadID string                 `json:"head_id,omitempty"`
	// HeadGone: that machine is gone, or being terminated.
	HeadGone bool `json:"head_gone,omitempty"`
	// Workers are the machines that have joined the server.
	Workers []activities.MachineRef `json:"workers,omitempty"`
	// Placement is where the machines are, or were, and Pools where those of the pools are that are elsewhere.
	Placement *api.Placement      `json:"placement,omitempty"`
	Pools     []api.PoolPlacement `json:"pools,omitempty"`
	GPUs      bool                `json:"gpus,omitempty"`
	// Serves: the Kubernetes API answered the last sweep, or no sweep has asked since the cluster is READY.
	Serves bool `json:"serves,omitempty"`
	// Stopped: the cluster has no machines, and its state is in the snapshot of its stop.
	Stopped bool `json:"stopped,omitempty"`
	// Changing: an earlier run has started to change machines.
	Changing bool `json:"changing,omitempty"`
	// At is when the restore started, by the clock of the worker.
	At time.Time `json:"at"`
	// Until is up to when the server may have served.
	Until time.Time `json:"until"`
}

// BeginRestore reads what is to be restored, and says in the cluster's record that the restore has started. A restore
// in place becomes one with a new server if the server's machine is gone.
func (a *Activities) BeginRestore(ctx context.Context, ref api.Ref) (RestoreBegun, error) {
	const step = "begin the restore"
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return RestoreBegun{}, activities.StepError(ctx, step, "", err)
	}
	if operation.RequestedOperation(c) != operation.WorkflowRestore {
		return RestoreBegun{Nothing: true}, nil
	}
	machines := c.Status.Machines
	now := a.Now()
	c, err = a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Restore == nil {
			return nil // seen below
		}
		if under := c.Status.Operation; under == nil || under.Type != operation.WorkflowRestore {
			c.Status.Operation = &api.OperationStatus{Type: operation.WorkflowRestore, Since: now,
				Doing: "checking snapshot " + c.Status.Restore.Snapshot}
		}
		chooseRestoreMode(c.Status.Restore, machines)
		return nil
	})
	if err != nil || c.Status.Restore == nil {
		return RestoreBegun{Nothing: err == nil}, activities.StepError(ctx, step, "", err)
	}
	c.Status.Machines = machines
	return newRestoreBegun(c), nil
}

// chooseRestoreMode chooses a new server where the machine of the present one is gone.
func chooseRestoreMode(r *api.RestoreRequest, machines []api.Machine) {
	for _, m := range machines {
		if m.Role == api.RoleHead && !m.State.MayExist() && r.Mode == api.RestoreInPlace {
			r.Mode, r.LostServer = api.RestoreNewServer, m.Incarnation
		}
	}
}

func newRestoreBegun(c *api.Cluster) RestoreBegun {
	b := RestoreBegun{Restore: *c.Status.Restore, Placement: c.Status.Placement, GPUs: c.Spec.ManagesGPUs(),
		Pools:    placementsOfPools(c.Status.Placement, c.Status.Machines),
		Changing: c.Status.Phase == api.PhaseProvisioning, Stopped: c.Status.Phase == api.PhaseStopped,
		At: c.Status.Operation.Since, Until: c.Status.Restore.AskedAt}
	for _, m := range c.Status.Machines {
		ref := activities.MachineRefOf(c.Ref(), m)
		switch {
		case m.Role == api.RoleHead:
			b.Head, b.HeadID = &ref, activities.RecordedCloudID(m)
			b.HeadGone = m.State == api.MachineGone || m.State == api.MachineTerminating
		case m.ConfiguredFor != "" && m.State.MayExist() && m.State != api.MachineTerminating:
			b.Workers = append(b.Workers, ref)
		}
	}
	b.Serves = c.Status.Phase == api.PhaseReady
	if reachable := c.Status.FindCondition(api.Reachable); reachable != nil {
		b.Serves = reachable.Status == api.ConditionTrue
	}
	b.Serves = b.Serves && !b.Stopped
	for _, d := range c.Status.Drift { // the server has not served since then
		if (d.Reason == api.DriftHeadLost || d.Reason == api.DriftAPISilent) && d.Since.Before(b.Until) {
			b.Until = d.Since
		}
	}
	return b
}

// MarkRestoringInput says how far a restore is.
type MarkRestoringInput struct {
	Cluster api.Ref `json:"cluster"`
	ID      string  `json:"id"`
	// Excluded: the original server can no longer serve.
	Excluded bool `json:"excluded,omitempty"`
	// Saved is the snapshot of the present state, and NotKept why there is none; both are empty if there is no state.
	Saved   string `json:"saved,omitempty"`
	NotKept string `json:"not_kept,omitempty"`
}

// MarkRestoring records that a restore changes machines from now on. It fails if the cluster is to be deleted, or the
// restore is not requested any more.
func (a *Activities) MarkRestoring(ctx context.Context, in MarkRestoringInput) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		r := c.Status.Restore
		switch {
		case c.Status.Phase == api.PhaseDeleting:
			return errDeleting
		case r == nil || r.ID != in.ID:
			return errNotRequested
		}
		r.Excluded = r.Excluded || in.Excluded
		if !r.Changed { // later the state is that of a half-finished restore
			r.Changed, r.Saved, r.NotKept = true, in.Saved, in.NotKept
		}
		c.Status.SetPhase(api.PhaseProvisioning, "Restore", a.Now())
		c.Status.Failure = nil
		c.Status.SetDrift(nil, a.Now())
		if c.Status.Operation != nil {
			c.Status.Operation.Doing = describeRestore(*r)
		}
		return nil
	})
	if err == nil && !in.Excluded {
		a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventNormal, "Restoring",
			describeRestore(*c.Status.Restore)))
		if in.NotKept != "" {
			a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventWarning, "StateNotKept",
				"the state before the restore is not kept as a snapshot: "+in.NotKept))
		}
	}
	return restoreError(ctx, "mark that the cluster is being restored", err)
}

func describeRestore(r api.RestoreRequest) string {
	if r.Reason == api.RestoreStart {
		return "starting from " + r.Snapshot
	}
	return "restoring from " + r.Snapshot
}

// restoreError returns the error of a step that a delete or another request has overtaken as one that ends the
// operation.
func restoreError(ctx context.Context, step string, err error) error {
	switch {
	case errors.Is(err, errDeleting):
		return temporal.NewNonRetryableApplicationError("the cluster is being deleted", activities.ReasonDeleting, nil)
	case errors.Is(err, errNotRequested):
		return temporal.NewNonRetryableApplicationError("it is no longer requested", activities.ReasonStillWanted, nil)
	}
	return activities.StepError(ctx, step, "", err)
}

// FinishRestoreInput is the result of a restore.
type FinishRestoreInput struct {
	Cluster api.Ref   `json:"cluster"`
	ID      string    `json:"id"`
	StateOf time.Time `json:"state_of"`
	Until   time.Time `json:"until"`
	At      time.Time `json:"at"`
	// OldData is where the data is that the server had before; empty if it is gone.
	OldData string `json:"old_data,omitempty"`
	// Saved is the snapshot of the state before the restore; empty if there is none. NotKept is why.
	Saved   string `json:"saved,omitempty"`
	NotKept string `json:"not_kept,omitempty"`
	// Left is what did not succeed, and is repaired next.
	Left []string `json:"left,omitempty"`
}

// FinishRestore reads the restored cluster's resources through its API, marks it READY, and records from when its state
// is. It removes the records of machines that are gone.
func (a *Activities) FinishRestore(ctx context.Context, in FinishRestoreInput) error {
	const step = "measure the restored cluster"
	c, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	if c.Status.Restore == nil && c.Status.Restored != nil && c.Status.Phase == api.PhaseReady {
		return nil // by an earlier try
	}
	for _, m := range c.Status.Machines {
		if m.State != api.MachineGone || m.Role == api.RoleHead {
			continue
		}
		if err := a.Store.ForgetMachine(ctx, in.Cluster, m.Index, m.Incarnation); err != nil {
			return activities.StepError(ctx, step, m.Name, err)
		}
	}
	if c, err = activities.ReadCluster(ctx, a.Store, in.Cluster); err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	resources, versions, err := a.measureCluster(ctx, c)
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	machines := c.Status.Machines
	now, head := a.Now(), findServer(machines)
	var done api.RestoreResult
	c, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		r := c.Status.Restore
		switch {
		case c.Status.Phase == api.PhaseDeleting:
			return errDeleting
		case r == nil || r.ID != in.ID:
			return errNotRequested
		}
		done = api.RestoreResult{Snapshot: r.Snapshot, Reason: r.Reason, StateOf: in.StateOf, Until: in.Until,
			StartedAt: in.At, At: now, OtherCluster: r.SnapshotUID != c.Metadata.UID,
			SnapshotUID: r.SnapshotUID, NotKept: in.NotKept}
		if r.Reason == api.RestoreStart {
			done.Until = in.StateOf // it did not serve after its stop
		}
		c.RecordAuthority(*r)
		c.Status.Restored, c.Status.Restore, c.Status.Stop = &done, nil, nil
		c.Status.Resources, c.Status.Versions.Kubernetes = resources, versions.Kubernetes
		if head != nil {
			c.Status.Placement = &head.Placement
		}
		if c.IsReachedBy(machines) {
			c.Status.ObservedGeneration = c.Metadata.Generation
		}
		c.Status.Failure, c.Status.Operation = nil, nil
		c.Status.EndRepair(r.ID, "", now)
		c.Status.SetPhase(api.PhaseReady, "Restored", now)
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventNormal, "Restored", describeResult(done, in)))
	}
	return restoreError(ctx, "mark the restored cluster READY", err)
}

func findServer(machines []api.Machine) *api.Machine {
	for i := range machines {
		if machines[i].Role == api.RoleHead {
			return &machines[i]
		}
	}
	return nil
}

// describeResult says from when the state is, what may be lost, and where the earlier data is.
func describeResult(r api.RestoreResult, in FinishRestoreInput) string {
	text := fmt.Sprintf("the cluster has its state of %s, from snapshot %s", r.StateOf.UTC().Format(time.RFC3339),
		r.Snapshot)
	switch lost := r.Until.Sub(r.StateOf).Truncate(time.Second); { // as skyctl describe says it
	case r.Reason == api.RestoreStart:
		text = fmt.Sprintf("started from snapshot %s, with the state of %s", r.Snapshot,
			r.StateOf.UTC().Format(time.RFC3339))
	case lost > 0:
		text += fmt.Sprintf("; changes of %s after that are lost", lost)
	}
	if in.Saved != "" {
		text += "; the state before the restore is kept as snapshot " + in.Saved
	}
	if in.NotKept != "" {
		text += "; the state before the restore was not kept as a snapshot: " + in.NotKept
	}
	if in.OldData != "" {
		text += "; the server's earlier data is in " + in.OldData
	}
	if len(in.Left) > 0 {
		text += "; this is repaired next: " + strings.Join(in.Left, "; ")
	}
	return text
}

// FailRestoreInput is a restore that failed.
type FailRestoreInput struct {
	Cluster api.Ref     `json:"cluster"`
	ID      string      `json:"id"`
	Failure api.Failure `json:"failure"`
	// OldData is where the data is that the server had before; empty if it is gone, or was not changed.
	OldData string `json:"old_data,omitempty"`
	Saved   string `json:"saved,omitempty"`
}

// FailRestore records why a restore failed. If neither it nor an earlier try changed anything, the request is gone and
// the cluster stays as it was. A start leaves the cluster STOPPED again: its machines were terminated. Otherwise the
// cluster goes to ERROR, the machines stay, and the request waits for a person.
func (a *Activities) FailRestore(ctx context.Context, in FailRestoreInput) error {
	in.Failure.At = a.Now()
	in.Failure.Message = redact.Text(in.Failure.Message)
	in.Failure.Log = redact.Lines(strings.Join(in.Failure.Log, "\n"))
	var message string
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		r := c.Status.Restore
		if r == nil || r.ID != in.ID || c.Status.Phase == api.PhaseDeleting {
			message = ""
			return nil
		}
		c.Status.Operation = nil
		c.Status.RemoveCondition(api.CreateBegun)
		c.Status.EndRepair(r.ID, in.Failure.Message, a.Now())
		switch {
		case r.Reason == api.RestoreStart:
			message = "the cluster could not be started and is STOPPED again: " + in.Failure.Message
			c.Status.Restore, c.Status.Failure = nil, &in.Failure
			c.Status.SetPhase(api.PhaseStopped, in.Failure.Reason, a.Now())
		case c.Status.Phase != api.PhaseProvisioning && !r.Changed:
			message = "the cluster was not restored, and nothing was changed: " + in.Failure.Message
			c.Status.Restore = nil
		default:
			in.Failure.Message += describeWayOut(c.Metadata.Name, *r, in)
			message = in.Failure.Message
			r.FailedAt = a.Now()
			c.Status.Failure = &in.Failure
			c.Status.SetPhase(api.PhaseError, in.Failure.Reason, a.Now())
		}
		return nil
	})
	if err == nil && message != "" {
		a.recordEventNow(ctx, activities.NewEvent(c, in.Failure.Machine, api.EventWarning, "RestoreFailed", message))
	}
	return activities.StepError(ctx, "record why the restore failed", "", err)
}

// describeWayOut says what a person can do after a restore that failed.
func describeWayOut(cluster string, r api.RestoreRequest, in FailRestoreInput) string {
	text := fmt.Sprintf(". The machines were kept. To go on: skyctl restore cluster %s --snapshot %s", cluster,
		r.Snapshot)
	if r.Mode == api.RestoreNewMachines {
		text += " --new-machines, which launches others"
	}
	if in.Saved != "" {
		text += "; the state before the restore is kept as snapshot " + in.Saved
	}
	if in.OldData != "" {
		text += "; the server's earlier data is in " + in.OldData
	}
	return text
}
