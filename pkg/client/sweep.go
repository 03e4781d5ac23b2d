package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

const (
	// sweepTimeout bounds a sweep that somebody asked for, over thousands of clusters.
	sweepTimeout = 20 * time.Minute
	// orphansTimeout bounds the question to all clouds, and the end of the machines that were named.
	orphansTimeout = 30 * time.Minute
)

// SweepClusters has a worker compare clusters with the world now, beside the sweeps of the schedule, and returns what
// it found. Where one cluster is named that is not there the error is a *store.NotFoundError.
func (c *Client) SweepClusters(ctx context.Context, in operation.SweepInput) (operation.SweepResult, error) {
	var result operation.SweepResult
	summary := "Compare every cluster with the world"
	if in.Cluster != "" {
		s, err := c.ConnectStore(ctx)
		if err != nil {
			return result, err
		}
		if _, err := s.ReadCluster(ctx, in.Cluster); err != nil {
			return result, err
		}
		summary = "Compare " + in.Cluster + " with the world"
	}
	run, err := c.startShortWorkflow(ctx, client.StartWorkflowOptions{
		ID: operation.SweepScheduleID + "/by-hand-" + uuid.NewString(), WorkflowExecutionTimeout: sweepTimeout,
		StaticSummary: summary,
	}, operation.WorkflowSweep, in)
	if err != nil {
		return result, err
	}
	if err := run.awaitResult(ctx, &result); err != nil {
		run.abandonWorkflow(ctx)
		return operation.SweepResult{}, err
	}
	return result, nil
}

// FindOrphans has a worker look on every cloud in use for machines that belong to no cluster, and end those that are
// named. It goes on with those when ctx ends.
func (c *Client) FindOrphans(ctx context.Context, in operation.OrphansInput) (operation.OrphansResult, error) {
	var result operation.OrphansResult
	summary := "Look for machines that belong to no cluster"
	if n := len(in.Terminate); n > 0 {
		summary = fmt.Sprintf("Terminate machines that belong to no cluster: %d", n)
	}
	run, err := c.startShortWorkflow(ctx, client.StartWorkflowOptions{
		ID: "orphans/" + uuid.NewString(), WorkflowExecutionTimeout: orphansTimeout, StaticSummary: summary,
	}, operation.WorkflowOrphans, in)
	if err != nil {
		return result, err
	}
	if err := run.awaitResult(ctx, &result); err != nil {
		if len(in.Terminate) == 0 {
			run.abandonWorkflow(ctx)
		}
		return operation.OrphansResult{}, err
	}
	return result, nil
}

// shortWorkflow is a workflow whose answer somebody waits for.
type shortWorkflow struct {
	client   *Client
	temporal client.Client
	client.WorkflowRun
}

func (c *Client) startShortWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow string,
	input any) (shortWorkflow, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return shortWorkflow{}, err
	}
	call, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	o.TaskQueue = c.cfg.Temporal.TaskQueue
	r, err := t.ExecuteWorkflow(call, o, workflow, input)
	if err != nil {
		return shortWorkflow{}, c.toTemporalError(ctx, err)
	}
	return shortWorkflow{client: c, temporal: t, WorkflowRun: r}, nil
}

func (q shortWorkflow) awaitResult(ctx context.Context, result any) error {
	return q.client.awaitResult(ctx, q.temporal, q.WorkflowRun, result)
}

func (q shortWorkflow) abandonWorkflow(ctx context.Context) {
	q.client.abandonWorkflow(ctx, q.temporal, q.WorkflowRun)
}

// NoScheduleError says that nothing sweeps by itself, because no worker has made the schedule yet.
type NoScheduleError struct{ Address string }

func (e *NoScheduleError) Error() string {
	return fmt.Sprintf("Temporal at %s has no schedule of sweeps: a worker makes it when it starts; start one with "+
		"skyd worker, or skyctl server start", e.Address)
}

// PauseReconcile keeps anything of a cluster from being repaired until Resume; it is still looked at. Without a name
// the sweeps of the schedule are paused, so that nothing is looked at. It returns false where that was so already.
func (c *Client) PauseReconcile(ctx context.Context, cluster string) (bool, error) {
	if cluster == "" {
		return c.setSchedulePaused(ctx, true)
	}
	return c.setClusterPaused(ctx, cluster, true)
}

// ResumeReconcile ends what Pause began; false where nothing was paused. That of one cluster and that of all are apart.
func (c *Client) ResumeReconcile(ctx context.Context, cluster string) (bool, error) {
	if cluster == "" {
		return c.setSchedulePaused(ctx, false)
	}
	return c.setClusterPaused(ctx, cluster, false)
}

// IsRepairing says whether a repair of a cluster is under way.
func (c *Client) IsRepairing(ctx context.Context, cluster string) (bool, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return false, err
	}
	r, err := c.readLatestRun(ctx, t, cluster)
	return r.open && r.workflow == operation.WorkflowRepair, err
}

func (c *Client) setClusterPaused(ctx context.Context, cluster string, paused bool) (bool, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return false, err
	}
	there, err := s.ReadCluster(ctx, cluster)
	if err != nil {
		return false, err
	}
	changed := false
	_, err = s.UpdateCluster(ctx, there.Ref(), func(cl *api.Cluster) error {
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
	e := api.Event{Cluster: cluster, UID: there.Metadata.UID, Type: api.EventNormal, Reason: "Resumed",
		Message: "the cluster is repaired again", First: c.now(), Last: c.now()}
	if paused {
		e.Reason, e.Message = "Paused", "nothing of the cluster is repaired until it is resumed"
	}
	return true, s.RecordEvent(ctx, e)
}

// IsSchedulePaused says whether the sweeps of the schedule are paused; they are not where there is no schedule.
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
	call, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d, err := t.ScheduleClient().GetHandle(call, operation.SweepScheduleID).Describe(call)
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

// setSchedulePaused waits a moment for a schedule that a worker which has just been started is about to make.
func (c *Client) setSchedulePaused(ctx context.Context, paused bool) (bool, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return false, err
	}
	wait := newBackOff(50*time.Millisecond, time.Second)
	for give := c.now().Add(dialTimeout); ; {
		was, err := c.readSchedulePaused(ctx, t)
		if none := new(NoScheduleError); errors.As(err, &none) && c.now().Before(give) {
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
	call, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	h := t.ScheduleClient().GetHandle(call, operation.SweepScheduleID)
	if paused {
		return h.Pause(call, client.SchedulePauseOptions{Note: "Paused with skyctl pause reconcile"})
	}
	return h.Unpause(call, client.ScheduleUnpauseOptions{Note: "Resumed with skyctl resume reconcile"})
}
