package nodes

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// apiReadyInterval is how often a worker whose time to join is over asks whether the head's API is ready.
const apiReadyInterval = 10 * time.Second

// recordAPIReady records when the API of a head was ready; a zero time says that its server is being started.
func (a *Activities) recordAPIReady(ctx context.Context, step *machineStep, at time.Time) error {
	if step.record.APIReadyAt.IsZero() == at.IsZero() {
		return nil
	}
	_, err := a.Store.UpdateMachine(ctx, step.machine.Cluster, step.record.Index, step.record.Incarnation,
		func(r *api.Machine) error {
			r.APIReadyAt = at
			return nil
		})
	return err
}

// withJoinDeadline bounds the wait for a worker's agent. An agent is up only after the Kubernetes API is, and it is
// started before: while the head starts, its time counts from when the API is ready.
func (a *Activities) withJoinDeadline(ctx context.Context, step *machineStep) (context.Context, context.CancelFunc) {
	latest := a.Now().Add(a.Deadlines.Server + a.Deadlines.Agent)
	return activities.WithExtendedDeadline(ctx, a.Deadlines.Agent, func(ctx context.Context) time.Duration {
		c, _, err := activities.ReadMachine(ctx, a.Store, step.machine)
		if err != nil {
			return min(apiReadyInterval, latest.Sub(a.Now()))
		}
		return joinTimeLeft(c, a.Now(), latest, a.Deadlines.Agent)
	})
}

// joinTimeLeft returns how much longer a worker may take to join, or until when to ask again. It may take limit from
// when the API of a head that is being started is ready, but no longer than until latest.
func joinTimeLeft(c *api.Cluster, now, latest time.Time, limit time.Duration) time.Duration {
	head, err := c.Head()
	switch {
	case err != nil || c.Status.Phase != api.PhaseProvisioning:
		return 0 // the server ran already
	case head.APIReadyAt.IsZero():
		return min(apiReadyInterval, latest.Sub(now))
	case head.APIReadyAt.Add(limit).Before(latest):
		return head.APIReadyAt.Add(limit).Sub(now)
	}
	return latest.Sub(now)
}
