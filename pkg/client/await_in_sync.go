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

// AwaitInSync follows a cluster, as it was before a sweep found it to differ, until it is as it should be, and sweeps
// it again where drift takes its time. Its error is a OperationFailedError where it ends in ERROR, a WaitTimeoutError
// once limit (if above 0) is over, and a DriftError where drift is left that a repair failed to end, or that nobody
// does anything about. One that was being deleted is awaited to be gone.
func (c *Client) AwaitInSync(ctx context.Context, before *api.Cluster, found operation.DriftedCluster,
	limit time.Duration,
	see func(Progress)) error {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return err
	}
	ref := before.Ref()
	began := c.now()
	for {
		left := limit
		if limit > 0 {
			if left = limit - c.now().Sub(began); left <= 0 {
				return &WaitTimeoutError{Name: ref.Name, For: "in sync", Took: limit}
			}
		}
		err := c.retryWhileUnreachable(ctx, newProgressNotifier(see, before),
			func() error { return c.awaitRepairEnd(ctx, ref, found, left, see) })
		var drift *DriftError
		if late := new(WaitTimeoutError); errors.As(err, &late) {
			late.Took = limit
		}
		if !errors.As(err, &drift) {
			return err
		}
		var now *api.Cluster
		gone := c.retryWhileUnreachable(ctx, newProgressNotifier(see, before),
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
		err = c.retryWhileUnreachable(ctx, newProgressNotifier(see, now),
			func() (err error) { found, err = c.sweepAgain(ctx, ref.Name, left); return err })
		if err != nil {
			return err
		}
	}
}

// sweepAgain sweeps a cluster once more after a while. Where the sweep finds no drift the answer says nothing but the
// phase.
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

// formatWaitingNotice says what drift there is, for a person who waits.
func formatWaitingNotice(drift []api.Drift) string {
	said := "waiting: " + toOneLine(drift[0].String())
	if drift[0].Next != "" {
		said += " (next: " + toOneLine(drift[0].Next) + ")"
	}
	if n := len(drift) - 1; n > 0 {
		said += fmt.Sprintf(", and %d more", n)
	}
	return said
}

// mayStillRepair says whether a later sweep may do something about the drift of a cluster: nothing is paused, no repair
// has failed since before, and not all of it is only reported.
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

// awaitRepairEnd follows a cluster until it is in sync, or until what was started about it has ended.
func (c *Client) awaitRepairEnd(ctx context.Context, ref api.Ref, found operation.DriftedCluster, limit time.Duration,
	see func(Progress)) error {
	switch {
	case found.Phase == "", found.Unseen && found.Started == "": // what etcd says of it is not what is so now
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
		// ERROR is no end yet: a cluster that is taken up again stays in it until the first repair has succeeded.
		judge: func(cl *api.Cluster) (bool, error) {
			if cl.Status.Phase == api.PhaseDeleting {
				return true, &ConflictError{Name: ref.Name, Phase: api.PhaseDeleting}
			}
			return isInSync(cl), nil
		},
		left: func(cl *api.Cluster, ended error) error {
			if ended != nil {
				return newNotInSyncError(cl, failureReason(ended))
			}
			return newNotInSyncError(cl, "")
		},
	}
	if found.Started == "" {
		// Unless one was at work already, there is none whose end tells more than the sweep did.
		of := g
		of.left = func(cl *api.Cluster, _ error) error { return newNotInSyncError(cl, found.Why) }
		if v := c.checkOperation(ctx, ref, of); v.done {
			return v.err
		}
	}
	_, err := c.followCluster(ctx, ref, limit, g, see)
	return err
}

// newNotInSyncError is the error of a cluster on which nothing works any more.
func newNotInSyncError(c *api.Cluster, why string) error {
	if c.Status.Phase == api.PhaseError {
		return &OperationFailedError{Cluster: c.Metadata.Name, Operation: "repairing", Failure: c.Status.Failure,
			Reason: why}
	}
	return &DriftError{Cluster: c.Metadata.Name, Drift: c.Status.Drift, Reason: why}
}

// isInSync takes the sweep's own word for it, which passes over drift that is somebody's wish.
func isInSync(c *api.Cluster) bool {
	if c.Status.Phase != api.PhaseReady {
		return false
	}
	if in := c.Status.FindCondition(api.InSync); in != nil {
		return in.Status == api.ConditionTrue
	}
	return len(c.Status.Drift) == 0
}
