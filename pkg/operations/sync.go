package operations

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// AwaitInSync follows a cluster that a sweep found to differ until it is as it should be. Its error is a FailedError where it
// ends in ERROR, and a DriftError where drift is left and nothing works on it (any more). One that was being deleted is
// awaited to be gone.
func (c *Client) AwaitInSync(ctx context.Context, ref api.Ref, found api.Drifted, limit time.Duration, see func(Progress)) error {
	switch {
	case found.Phase == "": // it could not be looked at
		return &DriftError{Cluster: ref.Name, Drift: found.Drift, Reason: found.Why}
	case found.Phase == api.PhaseDeleting:
		return c.AwaitGone(ctx, ref, limit, see)
	case found.Phase == api.PhaseInit, found.Phase == api.PhaseProvisioning:
		_, err := c.AwaitReady(ctx, ref, limit, see)
		return err
	}
	g := goal{
		name: "in sync", operation: "repairing", gone: &GoneError{Name: ref.Name},
		// ERROR is no end yet: a cluster that is taken up again stays in it until the first repair has succeeded.
		judge: func(cl *api.Cluster) (bool, error) {
			if cl.Status.Phase == api.PhaseDeleting {
				return true, &ConflictError{Name: ref.Name, Phase: api.PhaseDeleting}
			}
			return inSync(cl), nil
		},
		left: func(cl *api.Cluster, ended error) error {
			if cl.Status.Phase == api.PhaseError {
				return &FailedError{Cluster: ref.Name, Operation: "repairing", Failure: cl.Status.Failure, Reason: reason(ended)}
			}
			drift := &DriftError{Cluster: ref.Name, Drift: cl.Status.Drift}
			if ended != nil {
				drift.Reason = reason(ended)
			}
			return drift
		},
	}
	if found.Started == "" {
		// Unless one was at work already, there is none whose end tells more than the sweep did.
		of := g
		of.left = func(cl *api.Cluster, _ error) error {
			return &DriftError{Cluster: ref.Name, Drift: cl.Status.Drift, Reason: found.Why}
		}
		if v := c.alive(ctx, ref, of); v.done {
			return v.err
		}
	}
	_, err := c.follow(ctx, ref, limit, g, see)
	return err
}

// inSync takes the sweep's own word for it, which passes over drift that is somebody's wish.
func inSync(c *api.Cluster) bool {
	if c.Status.Phase != api.PhaseReady {
		return false
	}
	if in := c.Status.Condition(api.InSync); in != nil {
		return in.Status == api.ConditionTrue
	}
	return len(c.Status.Drift) == 0
}
