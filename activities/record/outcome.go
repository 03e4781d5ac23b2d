package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// RecordAttemptInput records a placement that could not provide the machines.
type RecordAttemptInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Placement api.Placement `json:"placement"`
	Failure   api.Failure   `json:"failure"`
	// Last: no other placement is tried, and the machines of this one still exist.
	Last bool `json:"last,omitempty"`
}

// RecordAttempt adds a failed placement to the cluster's record.
func (a *Activities) RecordAttempt(ctx context.Context, in RecordAttemptInput) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.Attempts = append(c.Status.Attempts, api.FailedPlacement{
			Placement: in.Placement, Machine: in.Failure.Machine, Reason: in.Failure.Reason,
			Message: redact.Text(in.Failure.Message), At: a.Now(),
		})
		if !in.Last {
			c.Status.Placement = nil
		}
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, activities.NewEvent(c, in.Failure.Machine, api.EventWarning, in.Failure.Reason,
			fmt.Sprintf(
				"%s/%s could not provide the machines: %s", in.Placement.Cloud, in.Placement.Region,
				in.Failure.Message)))
	}
	return activities.StepError(ctx, "record a failed placement", "", err)
}

// SetConditionInput sets one condition of a cluster.
type SetConditionInput struct {
	Cluster   api.Ref       `json:"cluster"`
	Condition api.Condition `json:"condition"`
}

// SetCondition records a condition.
func (a *Activities) SetCondition(ctx context.Context, in SetConditionInput) error {
	_, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		in.Condition.Message = redact.Text(in.Condition.Message)
		c.Status.SetCondition(in.Condition, a.Now())
		return nil
	})
	return activities.StepError(ctx, "record condition "+string(in.Condition.Type), "", err)
}

// ReadyResult is the result of MarkReady.
type ReadyResult struct {
	// Changed: the spec changed since the machines were reserved.
	Changed bool `json:"changed,omitempty"`
}

// MarkReady waits for the cluster's add-ons, reads its resources and versions through its API, and marks it READY.
func (a *Activities) MarkReady(ctx context.Context, ref api.Ref) (ReadyResult, error) {
	const step = "measure the cluster"
	none := ReadyResult{}
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return none, activities.StepError(ctx, step, "", err)
	}
	addOns, err := a.awaitAddOns(ctx, c)
	if err != nil {
		return none, activities.StepError(ctx, step, "", err)
	}
	resources, versions, err := a.measureCluster(ctx, c)
	if err != nil {
		return none, activities.StepError(ctx, step, "", err)
	}
	machines := c.Status.Machines
	var wasReady bool
	stored, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting {
			return errDeleting
		}
		c.Status.Resources = resources
		addOns.Message = redact.Text(addOns.Message)
		c.Status.SetCondition(addOns, a.Now())
		c.Status.Versions.Kubernetes = versions.Kubernetes
		if c.IsReachedBy(machines) {
			c.Status.ObservedGeneration = c.Metadata.Generation
		}
		wasReady = c.Status.Phase == api.PhaseReady
		c.Status.SetPhase(api.PhaseReady, "", a.Now())
		return nil
	})
	if errors.Is(err, errDeleting) {
		return none, temporal.NewNonRetryableApplicationError("the cluster is being deleted", activities.ReasonDeleting,
			nil)
	}
	if err != nil {
		return none, activities.StepError(ctx, "mark the cluster READY", "", err)
	}
	a.recordEventNow(ctx, activities.NewEvent(c, "", api.EventNormal, "Ready",
		"READY with "+activities.FormatCount(len(c.Status.Machines), "machine")))
	a.recordMissingAddOns(ctx, c, addOns)
	if !wasReady {
		a.recordCreateTime(ctx, stored)
	}
	return ReadyResult{Changed: stored.Status.ObservedGeneration != stored.Metadata.Generation}, nil
}

// recordCreateTime keeps how long a create took, for the estimates of later ones. Without it they only lack a number.
func (a *Activities) recordCreateTime(ctx context.Context, c *api.Cluster) {
	took, ok := c.Status.MeasureCreate()
	if !ok || c.Status.Placement == nil {
		return
	}
	if err := a.Store.RecordCreateTime(ctx, c.Status.Placement.Cloud,
		api.CreateTime{Machines: c.Spec.MachineCount(), Seconds: int(took.Seconds())}); err != nil {
		activities.RecordHeartbeat(ctx, "the time of the create is not kept: "+err.Error())
	}
}

// MarkFailedInput marks a cluster as failed.
type MarkFailedInput struct {
	Cluster api.Ref     `json:"cluster"`
	Failure api.Failure `json:"failure"`
}

// MarkFailed puts the cluster into phase ERROR with its failure. A cluster that is being deleted stays in its phase,
// and records the failure.
func (a *Activities) MarkFailed(ctx context.Context, in MarkFailedInput) error {
	now, err := activities.ReadCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return activities.StepError(ctx, "mark the cluster as failed", "", err)
	}
	left := api.AnyMachineMayExist(now.Status.Machines)
	in.Failure = activities.AddBlockedReason(in.Failure, now)
	_, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		in.Failure.At = a.Now()
		in.Failure.Message, in.Failure.Log = redact.Text(in.Failure.Message), redact.Lines(strings.Join(in.Failure.Log,
			"\n"))
		c.Status.Failure, c.Status.Operation = &in.Failure, nil
		c.Status.RemoveCondition(api.CreateBegun)
		if c.Status.Phase != api.PhaseDeleting {
			c.Status.SetPhase(api.PhaseError, in.Failure.Reason, a.Now())
		}
		if !left {
			clearMachineStatus(&c.Status)
		}
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, activities.NewEvent(now, in.Failure.Machine, api.EventWarning, in.Failure.Reason,
			in.Failure.Step+": "+in.Failure.Message))
	}
	return activities.StepError(ctx, "mark the cluster as failed", "", err)
}

// MarkDeleting records that the cluster is being deleted.
func (a *Activities) MarkDeleting(ctx context.Context, ref api.Ref) error {
	_, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseDeleting, "", a.Now())
		c.Status.Operation = nil
		// the delete finds out again what is left behind
		c.Status.Drift = slices.DeleteFunc(c.Status.Drift,
			func(d api.Drift) bool { return d.Reason == api.DriftMachineConflict })
		return nil
	})
	return activities.StepError(ctx, "mark the cluster DELETING", "", err)
}

// measureCluster reads a cluster's total and free resources and its versions through its API.
func (a *Activities) measureCluster(ctx context.Context, c *api.Cluster) (api.Resources, api.Versions, error) {
	client, err := activities.NewClusterClient(ctx, c, a.Store, a.Pool)
	if err != nil {
		return api.Resources{}, api.Versions{}, err
	}
	seen, err := kube.ObserveCluster(ctx, client, c.Status.Machines, c.Spec.AcceleratorsOf)
	if err == nil {
		err = seen.Unmeasured
	}
	return seen.Resources, seen.Versions, err
}
