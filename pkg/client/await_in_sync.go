package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// AwaitInSync follows a cluster until it is in sync, and sweeps it again while drift remains that a later sweep may
// repair; before is the cluster before the first sweep, found the result of that sweep. The error is an
// OperationFailedError if the cluster goes to ERROR, a WaitTimeoutError after limit, if that is above 0, and a
// DriftError if drift remains that skyctl does not repair. If the cluster is being deleted, AwaitInSync waits until it
// is gone.
func (c *Client) AwaitInSync(ctx context.Context, before *api.Cluster, found operation.DriftedCluster,
	limit time.Duration,
	see func(Progress)) error {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return err
	}
	ref := before.Ref()
	start := c.now()
	for {
		remaining := limit
		if limit > 0 {
			if remaining = limit - c.now().Sub(start); remaining <= 0 {
				return &WaitTimeoutError{Name: ref.Name, For: "in sync", Took: limit}
			}
		}
		err := c.RetryWhileUnreachable(ctx, newProgressNotifier(see, before),
			func() error { return c.awaitRepairEnd(ctx, ref, found, remaining, see) })
		var drift *DriftError
		if late := new(WaitTimeoutError); errors.As(err, &late) {
			late.Took = limit
		}
		if !errors.As(err, &drift) {
			return err
		}
		var now *api.Cluster
		gone := c.RetryWhileUnreachable(ctx, newProgressNotifier(see, before),
			func() (err error) { now, err = s.ReadCluster(ctx, ref.Name); return err })
		if gone != nil {
			return gone
		}
		switch justEnded := found.Unseen && len(found.Drift) == 0; {
		case found.Phase == "" || !justEnded && !mayStillRepair(before, now):
			return err
		case justEnded:
			see(Progress{Cluster: now, Notice: "waiting: " + toOneLine(found.Why)})
		default:
			see(Progress{Cluster: now, Notice: formatWaitingNotice(now.Status.Drift)})
		}
		err = c.RetryWhileUnreachable(ctx, newProgressNotifier(see, now),
			func() (err error) { found, err = c.sweepAgain(ctx, ref.Name, remaining); return err })
		if err != nil {
			return err
		}
	}
}

// sweepAgain waits for sweepEvery, or within if that is shorter, and sweeps the cluster again. If there is no drift,
// the result has the phase only.
func (c *Client) sweepAgain(ctx context.Context, cluster string, within time.Duration) (operation.DriftedCluster,
	error) {
	after := c.sweepEvery
	if within > 0 {
		after = min(after, within)
	}
	select {
	case <-ctx.Done():
		return operation.DriftedCluster{}, ctx.Err()
	case <-time.After(after):
	}
	r, err := c.SweepClusters(ctx, operation.SweepInput{Cluster: cluster})
	if err != nil || len(r.Drifted) == 0 {
		return operation.DriftedCluster{Cluster: cluster, Phase: api.PhaseReady, Why: "its state is unknown"}, err
	}
	return r.Drifted[0], nil
}

// formatWaitingNotice is the notice about the drift that the wait is for.
func formatWaitingNotice(drift []api.Drift) string {
	notice := "waiting: " + toOneLine(drift[0].String())
	if drift[0].Next != "" {
		notice += " (next: " + toOneLine(drift[0].Next) + ")"
	}
	if n := len(drift) - 1; n > 0 {
		notice += fmt.Sprintf(", and %d more", n)
	}
	return notice
}

// mayStillRepair reports whether a later sweep may repair the drift of a cluster: repairs are not paused, none has
// failed since before, and some of the drift can be repaired.
func mayStillRepair(before, now *api.Cluster) bool {
	if now.Status.Phase != api.PhaseReady || !now.Status.PausedAt.IsZero() {
		return false
	}
	failed := map[string]bool{}
	for _, r := range before.Status.Repairs {
		failed[r.ID] = r.Error != ""
	}
	for _, r := range now.Status.Repairs {
		if r.Error != "" && !failed[r.ID] {
			return false
		}
	}
	return slices.ContainsFunc(now.Status.Drift, func(d api.Drift) bool {
		return d.Next != api.HomeHeld && !d.Reason.IsOnlyReported() && d.Reason != api.DriftMachineConflict
	})
}

// awaitRepairEnd follows a cluster until it is in sync, or until its repair has ended.
func (c *Client) awaitRepairEnd(ctx context.Context, ref api.Ref, found operation.DriftedCluster, limit time.Duration,
	see func(Progress)) error {
	switch {
	case found.Phase == "", found.Unseen && found.Started == "": // the record in etcd is out of date
		return &DriftError{Cluster: ref.Name, Drift: found.Drift, Reason: found.Why}
	}
	switch found.Phase {
	case api.PhaseDeleting:
		return c.AwaitGone(ctx, ref, limit, see)
	case api.PhaseInit, api.PhaseProvisioning:
		_, err := c.AwaitReady(ctx, ref, limit, see)
		return err
	}
	g := waitGoal{
		name: "in sync", operation: "repairing", gone: &ClusterDeletedError{Name: ref.Name},
		// ERROR does not end the wait: a cluster stays in it until the first repair has succeeded.
		judge: func(cl *api.Cluster) (bool, error) {
			if cl.Status.Phase == api.PhaseDeleting {
				return true, &ConflictError{Name: ref.Name, Phase: api.PhaseDeleting}
			}
			return isInSync(cl), nil
		},
		missed: func(cl *api.Cluster, ended error) error {
			if ended != nil {
				return newNotInSyncError(cl, failureReason(ended))
			}
			return newNotInSyncError(cl, "")
		},
	}
	if found.Started == "" {
		// If no repair is running, the result of the sweep is the reason.
		sweptGoal := g
		sweptGoal.missed = func(cl *api.Cluster, _ error) error { return newNotInSyncError(cl, found.Why) }
		if v := c.checkOperation(ctx, ref, sweptGoal); v.done {
			return v.err
		}
	}
	_, err := c.followCluster(ctx, ref, limit, g, see)
	return err
}

// newNotInSyncError is the error for a cluster that is not in sync and has no running operation.
func newNotInSyncError(c *api.Cluster, why string) error {
	if c.Status.Phase == api.PhaseError {
		return &OperationFailedError{Cluster: c.Metadata.Name, Operation: "repairing", Failure: c.Status.Failure,
			Reason: why}
	}
	return &DriftError{Cluster: c.Metadata.Name, Drift: c.Status.Drift, Reason: why}
}

// isInSync uses the condition that the sweep sets, which ignores drift that people cause on purpose.
func isInSync(c *api.Cluster) bool {
	if c.Status.Phase != api.PhaseReady {
		return false
	}
	if in := c.Status.FindCondition(api.InSync); in != nil {
		return in.Status == api.ConditionTrue
	}
	return len(c.Status.Drift) == 0
}
