package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// NoScheduleError says that there are no scheduled sweeps, because no worker has created the schedule yet.
type NoScheduleError struct{ Address string }

func (e *NoScheduleError) Error() string {
	return fmt.Sprintf("Temporal at %s has no schedule of sweeps. A worker creates it when it starts; start one with "+
		"skyd worker or skyctl server start", e.Address)
}

// PauseReconcile pauses repairs of a cluster; sweeps still check it. If cluster is empty, it pauses the scheduled
// sweeps. It returns false if they were paused already.
func (c *Client) PauseReconcile(ctx context.Context, cluster string) (bool, error) {
	if cluster == "" {
		return c.setSchedulePaused(ctx, true)
	}
	return c.setClusterPaused(ctx, cluster, true)
}

// ResumeReconcile ends a pause of a cluster or, if cluster is empty, of the scheduled sweeps; the two are independent.
// It returns false if nothing was paused.
func (c *Client) ResumeReconcile(ctx context.Context, cluster string) (bool, error) {
	if cluster == "" {
		return c.setSchedulePaused(ctx, false)
	}
	return c.setClusterPaused(ctx, cluster, false)
}

// DescribeRunningRepair returns what an operation that repairs or changes a cluster does now, for people; empty if none
// runs.
func (c *Client) DescribeRunningRepair(ctx context.Context, cluster string) (string, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return "", err
	}
	r, err := c.readLatestRun(ctx, t, cluster)
	if err != nil || !r.open || r.workflow != operation.WorkflowConverge && r.workflow != operation.WorkflowRepair {
		return "", err
	}
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return "", err
	}
	current, err := s.ReadCluster(ctx, cluster)
	if err != nil || current.Status.Operation == nil || current.Status.Operation.Doing == "" {
		return "a repair", err
	}
	return current.Status.Operation.Doing, nil
}

func (c *Client) setClusterPaused(ctx context.Context, cluster string, paused bool) (bool, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return false, err
	}
	current, err := s.ReadCluster(ctx, cluster)
	if err != nil {
		return false, err
	}
	changed := false
	_, err = s.UpdateCluster(ctx, current.Ref(), func(cl *api.Cluster) error {
		if changed = cl.Status.PausedAt.IsZero() == paused; !changed {
			return nil
		}
		cl.Status.PausedAt = time.Time{}
		if paused {
			cl.Status.PausedAt = c.now().UTC()
		}
		return nil
	})
	if err != nil || !changed {
		return false, err
	}
	e := api.Event{Cluster: cluster, UID: current.Metadata.UID, Type: api.EventNormal, Reason: "Resumed",
		Message: "repairs of the cluster are resumed", First: c.now(), Last: c.now()}
	if paused {
		e.Reason, e.Message = "Paused", "repairs of the cluster are paused"
	}
	return true, s.RecordEvent(ctx, e)
}

// IsSchedulePaused reports whether the scheduled sweeps are paused; false if there is no schedule.
func (c *Client) IsSchedulePaused(ctx context.Context) (bool, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return false, err
	}
	paused, err := c.readSchedulePaused(ctx, t)
	if none := new(NoScheduleError); errors.As(err, &none) {
		return false, nil
	}
	return paused, err
}

func (c *Client) readSchedulePaused(ctx context.Context, t client.Client) (bool, error) {
	var d *client.ScheduleDescription
	err := c.callTemporal(ctx, dialTimeout, func(ctx context.Context) (err error) {
		d, err = t.ScheduleClient().GetHandle(ctx, operation.SweepScheduleID).Describe(ctx)
		return err
	})
	if err != nil {
		return false, c.toScheduleError(ctx, err)
	}
	return d.Schedule.State != nil && d.Schedule.State.Paused, nil
}

func (c *Client) toScheduleError(ctx context.Context, err error) error {
	if missing := new(serviceerror.NotFound); errors.As(err, &missing) {
		return &NoScheduleError{Address: c.cfg.Temporal.Address}
	}
	return c.toTemporalError(ctx, err)
}

// setSchedulePaused waits briefly for the schedule, because a worker that has just started may be about to create it.
func (c *Client) setSchedulePaused(ctx context.Context, paused bool) (bool, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return false, err
	}
	wait := newBackOff(50*time.Millisecond, time.Second)
	for deadline := c.now().Add(dialTimeout); ; {
		was, err := c.readSchedulePaused(ctx, t)
		if none := new(NoScheduleError); errors.As(err, &none) && c.now().Before(deadline) {
			if err := wait.waitNext(ctx); err != nil {
				return false, err
			}
			continue
		}
		if err != nil || was == paused {
			return false, err
		}
		if err := c.writeSchedulePaused(ctx, t, paused); err != nil {
			return false, c.toScheduleError(ctx, err)
		}
		return true, nil
	}
}

func (c *Client) writeSchedulePaused(ctx context.Context, t client.Client, paused bool) error {
	return c.callTemporal(ctx, dialTimeout, func(ctx context.Context) error {
		h := t.ScheduleClient().GetHandle(ctx, operation.SweepScheduleID)
		if paused {
			return h.Pause(ctx, client.SchedulePauseOptions{Note: "Paused with skyctl pause reconcile"})
		}
		return h.Unpause(ctx, client.ScheduleUnpauseOptions{Note: "Resumed with skyctl resume reconcile"})
	})
}
