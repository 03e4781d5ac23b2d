package client

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
)

// noWorkerAfter is how long a wait goes on while no worker polls the task queue.
const noWorkerAfter = 10 * time.Second

// resultTimeout is more than any short workflow takes.
const resultTimeout = time.Hour

// shortWorkflow is a workflow that returns a result to the caller.
type shortWorkflow struct {
	client   *Client
	temporal client.Client
	client.WorkflowRun
}

func (c *Client) startShortWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow string,
	input ...any) (shortWorkflow, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return shortWorkflow{}, err
	}
	o.TaskQueue = c.cfg.Temporal.TaskQueue
	var r client.WorkflowRun
	// The id is of this call alone, so a repeated start finds the workflow of the first.
	err = c.callTemporal(ctx, 2*dialTimeout, func(ctx context.Context) (err error) {
		r, err = t.ExecuteWorkflow(ctx, o, workflow, input...)
		return err
	})
	if err != nil {
		return shortWorkflow{}, c.toTemporalError(ctx, err)
	}
	return shortWorkflow{client: c, temporal: t, WorkflowRun: r}, nil
}

// awaitResult waits for the result, and fails if no worker polls the task queue.
func (w shortWorkflow) awaitResult(ctx context.Context, result any) error {
	got := make(chan error, 1)
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		got <- w.client.callTemporal(wait, resultTimeout, func(ctx context.Context) error { return w.Get(ctx, result) })
	}()
	check := time.NewTicker(w.client.checkEvery)
	defer check.Stop()
	checkWorker := w.client.newWorkerCheck()
	for {
		select {
		case err := <-got:
			if err == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			if unreachable := w.client.toTemporalError(ctx, err); isUnreachable(unreachable) {
				return unreachable
			}
			return fmt.Errorf("%s", failureReason(err))
		case <-check.C:
			if err := checkWorker(ctx, w.temporal); err != nil {
				return err
			}
		}
	}
}

// awaitResultOrAbandon is awaitResult for a workflow that can stop at any time: it is terminated if the wait fails.
func (w shortWorkflow) awaitResultOrAbandon(ctx context.Context, result any) error {
	err := w.awaitResult(ctx, result)
	if err != nil {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = w.temporal.TerminateWorkflow(call, w.GetID(), w.GetRunID(), "the caller no longer waits") // best effort
	}
	return err
}

// runShortWorkflow starts a workflow that can stop at any time, and returns its result. The result is zero if the error
// is not nil.
func runShortWorkflow[Result any](ctx context.Context, c *Client, o client.StartWorkflowOptions, workflow string,
	input ...any) (Result, error) {
	var none, result Result
	run, err := c.startShortWorkflow(ctx, o, workflow, input...)
	if err == nil {
		err = run.awaitResultOrAbandon(ctx, &result)
	}
	if err != nil {
		return none, err
	}
	return result, nil
}

// newWorkerCheck returns a check that fails once no worker has polled for noWorkerAfter.
func (c *Client) newWorkerCheck() func(context.Context, client.Client) error {
	var since time.Time
	return func(ctx context.Context, t client.Client) error {
		listening, err := c.hasActiveWorker(ctx, t)
		switch {
		case err != nil:
			return err
		case listening:
			since = time.Time{}
		case since.IsZero():
			since = c.now()
		case c.now().Sub(since) >= noWorkerAfter-c.checkEvery:
			return c.newNoWorkerError("")
		}
		return nil
	}
}
