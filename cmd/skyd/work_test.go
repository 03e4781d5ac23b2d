package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/eventually"
)

// work is a worker in this process, which survives the skyd that is killed.
type work struct {
	client   client.Client
	firsts   int
	inSecond chan struct{}
	goOn     chan struct{}
	once     sync.Once
}

func (w *work) First(context.Context) (string, error) { w.firsts++; return "one", nil }

func (w *work) Second(ctx context.Context) (string, error) {
	w.once.Do(func() { close(w.inSecond) })
	select {
	case <-w.goOn:
		return "two", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func twoSteps(ctx workflow.Context) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	var steps *work
	var one, two string
	if err := workflow.ExecuteActivity(ctx, steps.First).Get(ctx, &one); err != nil {
		return "", err
	}
	if err := workflow.ExecuteActivity(ctx, steps.Second).Get(ctx, &two); err != nil {
		return "", err
	}
	return one + " " + two, nil
}

func newWork(t *testing.T, c *config.Config) *work {
	t.Helper()
	tls, err := c.Temporal.TLS.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	tc, err := client.DialContext(eventually.Context(t, 2*time.Minute), client.Options{
		HostPort: c.Temporal.Address, Namespace: c.Temporal.Namespace, Logger: quiet{},
		ConnectionOptions: client.ConnectionOptions{TLS: tls},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &work{client: tc, inSecond: make(chan struct{}), goOn: make(chan struct{})}
	run := worker.New(tc, "test", worker.Options{})
	run.RegisterWorkflow(twoSteps)
	run.RegisterActivity(w)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Stop(); tc.Close() })
	return w
}

// quiet drops the SDK's log about an unreachable server, which these tests cause.
type quiet struct{ log.Logger }

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
