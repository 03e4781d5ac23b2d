package record

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// errNotRequested says that an operation is not requested any more.
var errNotRequested = errors.New("not requested")

// StopBegun is what Stop has to know of a cluster when it starts.
type StopBegun struct {
	// Nothing: no stop is requested, and no machine of a stopped cluster is left.
	Nothing bool `json:"nothing,omitempty"`
	// Stopped: the snapshot is kept, and only the machines are left.
	Stopped bool `json:"stopped,omitempty"`
	// AskedAt distinguishes requests.
	AskedAt time.Time `json:"asked_at,omitzero"`
}

// BeginStop reads whether a cluster is to be stopped, and says in its record that this has started.
func (a *Activities) BeginStop(ctx context.Context, ref api.Ref) (StopBegun, error) {
	begun := StopBegun{}
	_, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		begun = StopBegun{}
		switch {
		case c.Status.Phase == api.PhaseStopped && c.Status.Restore == nil:
			begun.Stopped = true
			a.setOperation(c, operation.WorkflowStop, "ending the machines")
		case operation.RequestedOperation(c) == operation.WorkflowStop:
			begun.AskedAt = c.Status.Stop.AskedAt
			a.setOperation(c, operation.WorkflowStop, "taking a snapshot to stop")
		default:
			begun.Nothing = true
		}
		return nil
	})
	return begun, activities.StepError(ctx, "begin the stop", "", err)
}

// setOperation says what is under way on a cluster.
func (a *Activities) setOperation(c *api.Cluster, workflow, doing string) {
	since := a.Now()
	if was := c.Status.Operation; was != nil && was.Type == workflow {
		since = was.Since
	}
	c.Status.Operation = &api.OperationStatus{Type: workflow, Doing: doing, Since: since}
}

// MarkStoppedInput names the snapshot from which a stopped cluster is started.
type MarkStoppedInput struct {
	Cluster  api.Ref   `json:"cluster"`
	AskedAt  time.Time `json:"asked_at"`
	Snapshot string    `json:"snapshot"`
}

// MarkStopped marks a cluster STOPPED, from when on its machines are ended. It fails if the cluster is to be deleted or
// restored, the stop is not requested any more, or the snapshot was deleted meanwhile.
func (a *Activities) MarkStopped(ctx context.Context, in MarkStoppedInput) error {
	const step = "mark the cluster STOPPED"
	kept, err := a.Store.ReadSnapshot(ctx, in.Cluster, in.Snapshot)
	if err == nil {
		err = kept.RefuseStart()
	}
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	_, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		stop := c.Status.Stop
		switch {
		case c.Status.Phase == api.PhaseDeleting:
			return errDeleting
		case c.Status.Phase == api.PhaseStopped && stop != nil && stop.Snapshot == in.Snapshot:
			return nil // by an earlier try
		case stop == nil || !stop.AskedAt.Equal(in.AskedAt) || c.Status.Restore != nil:
			return errNotRequested
		}
		stop.Snapshot = in.Snapshot
		c.Status.Failure = nil
		c.Status.SetDrift(nil, a.Now())
		a.setOperation(c, operation.WorkflowStop, "ending the machines")
		c.Status.SetPhase(api.PhaseStopped, "Stop", a.Now())
		return nil
	})
	return restoreError(ctx, step, err)
}

// FinishStop records that the machines of a stopped cluster are gone.
func (a *Activities) FinishStop(ctx context.Context, ref api.Ref) error {
	first := false
	c, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		first = c.Status.Phase == api.PhaseStopped && c.Status.Operation != nil
		if first && c.Status.Restore == nil {
			c.Status.Failure, c.Status.Operation = nil, nil
			clearMachineStatus(&c.Status)
		}
		return nil
	})
	if err == nil && first && c.Status.Stop != nil {
		a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventNormal, "Stopped",
			"all machines are ended; snapshot "+
				c.Status.Stop.Snapshot+" has the cluster's state. To start it: skyctl start cluster "+c.Metadata.Name))
	}
	return activities.StepError(ctx, "record that the machines are gone", "", err)
}

// FailStopInput is a stop that failed.
type FailStopInput struct {
	Cluster api.Ref     `json:"cluster"`
	AskedAt time.Time   `json:"asked_at"`
	Failure api.Failure `json:"failure"`
}

// FailStop records why a cluster was not stopped. It stays as it was. A STOPPED one gets the reason why machines of it
// are left.
func (a *Activities) FailStop(ctx context.Context, in FailStopInput) error {
	failed := false
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		stop := c.Status.Stop
		if c.Status.Phase == api.PhaseStopped && c.Status.Restore == nil {
			in.Failure.At, in.Failure.Message = a.Now(), redact.Text(in.Failure.Message)
			in.Failure.Log = redact.Lines(strings.Join(in.Failure.Log, "\n"))
			c.Status.Failure, c.Status.Operation = &in.Failure, nil
		}
		failed = stop != nil && stop.AskedAt.Equal(in.AskedAt) &&
			(c.Status.Phase == api.PhaseReady || c.Status.Phase == api.PhaseError)
		if failed {
			c.Status.Stop, c.Status.Operation = nil, nil
		}
		return nil
	})
	if err == nil && failed {
		message := "the cluster was not stopped, and nothing was ended: " + redact.Text(in.Failure.Message)
		if len(in.Failure.Log) > 0 {
			message += " (" + redact.Text(strings.Join(in.Failure.Log, "; ")) + ")"
		}
		a.recordEventNow(ctx, activities.NewEvent(c, in.Failure.Machine, api.EventWarning, "StopFailed", message))
	}
	return activities.StepError(ctx, "record why the cluster was not stopped", "", err)
}
