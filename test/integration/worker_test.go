package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/worker"
)

// silence is the heartbeat timeout of activities in tests that last longer than that. longSilence is for those to which
// it must not happen, on a busy computer either.
const silence, longSilence = 30 * time.Second, time.Minute

// probe is a workflow with one activity, whose heartbeat timeout is given, to observe a worker.
func probe(ctx workflow.Context, heartbeat time.Duration) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 2 * patience, HeartbeatTimeout: heartbeat, WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond},
	})
	var said string
	err := workflow.ExecuteActivity(ctx, "act").Get(ctx, &said)
	return said, err
}

// onProbe registers the probe and its activity with a worker.
func onProbe(w sdkworker.Worker, act func(context.Context) (string, error)) {
	w.RegisterWorkflow(probe)
	w.RegisterActivityWithOptions(act, activity.RegisterOptions{Name: "act"})
}

// probing is a probe and the project's worker that runs it.
func probing(t *testing.T, heartbeat time.Duration, act func(context.Context) (string, error)) client.WorkflowRun {
	t.Helper()
	t.Parallel()
	w := newIdleWorld(t, shared)
	w.running = worker.New(w.temporal, w.queue, w.acts)
	onProbe(w.running, act)
	if err := w.running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.running.Stop)
	return startProbe(t, w.temporal, w.queue, heartbeat)
}

func startProbe(t *testing.T, c client.Client, queue string, heartbeat time.Duration) client.WorkflowRun {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "probe/" + queue, TaskQueue: queue},
		probe, heartbeat)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// result waits until a probe ends.
func result(t *testing.T, run client.WorkflowRun) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var said string
	err := run.Get(ctx, &said)
	return said, err
}

func TestSilentActivityStaysAliveAndShowsItsProgress(t *testing.T) {
	release := make(chan struct{})
	run := probing(t, silence, func(ctx context.Context) (string, error) {
		activity.RecordHeartbeat(ctx, "first")
		activity.RecordHeartbeat(ctx, "second")
		select {
		case <-release:
			return fmt.Sprintf("try %d", activity.GetInfo(ctx).Attempt), nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	begin := time.Now()
	eventually.Holds(t, "it is shown at its last step, after a silence longer than the heartbeat timeout",
		func() bool {
			d, err := shared.Temporal.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range d.GetPendingActivities() {
				var step string
				if p.GetHeartbeatDetails() == nil ||
					converter.GetDefaultDataConverter().FromPayloads(p.GetHeartbeatDetails(), &step) != nil {
					continue
				}
				if p.GetLastHeartbeatTime().AsTime().Sub(begin) > silence && step == "second" {
					return true
				}
			}
			return false
		})
	close(release)
	if said, err := result(t, run); err != nil || said != "try 1" {
		t.Errorf("%q, %v", said, err)
	}
}

func TestCancellationReachesASilentActivityWithinSeconds(t *testing.T) {
	started, heard := make(chan struct{}), make(chan time.Time, 1)
	run := probing(t, longSilence, func(ctx context.Context) (string, error) {
		activity.RecordHeartbeat(ctx, "waiting")
		close(started)
		<-ctx.Done()
		heard <- time.Now()
		return "", temporal.NewCanceledError()
	})
	<-started
	eventually.Holds(t, "Temporal has the first heartbeat", func() bool { // only a later one brings the cancellation
		d, err := shared.Temporal.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
		return err == nil && len(d.GetPendingActivities()) == 1 &&
			d.GetPendingActivities()[0].GetHeartbeatDetails() != nil
	})
	asked := time.Now()
	if err := shared.Temporal.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	if _, err := result(t, run); !temporal.IsCanceledError(err) {
		t.Errorf("got %v", err)
	}
	// Without more frequent heartbeats it takes four fifths of the timeout, after which the SDK sends the next one.
	if took := (<-heard).Sub(asked); took > longSilence*2/3 {
		t.Errorf("it took %s", took)
	}
}

func TestWorkflowWaitsForACancelledActivitysCleanUp(t *testing.T) {
	started := make(chan struct{})
	var tidied bool
	var mu sync.Mutex
	run := probing(t, silence, func(ctx context.Context) (string, error) {
		close(started)
		<-ctx.Done()
		// longer than the heartbeat timeout: this is the subject of the test, not a wait
		time.Sleep(silence + 2*time.Second)
		mu.Lock()
		defer mu.Unlock()
		tidied = true
		return "", temporal.NewCanceledError()
	})
	<-started
	if err := shared.Temporal.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	_, err := result(t, run)
	mu.Lock()
	defer mu.Unlock()
	if !tidied || !temporal.IsCanceledError(err) {
		t.Errorf("the workflow continued during the activity's clean-up: %v", err)
	}
}

func TestConcurrentActivitiesKeepTheirOwnProgress(t *testing.T) {
	t.Parallel()
	w := newIdleWorld(t, shared)
	w.running = worker.New(w.temporal, w.queue, w.acts)
	release := make(chan struct{})
	w.running.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx,
			workflow.ActivityOptions{StartToCloseTimeout: patience, HeartbeatTimeout: silence})
		var all []workflow.Future
		for i := range 5 {
			all = append(all, workflow.ExecuteActivity(ctx, "say", i))
		}
		var errs error
		for _, f := range all {
			errs = errors.Join(errs, f.Get(ctx, nil))
		}
		return errs
	}, workflow.RegisterOptions{Name: "chorus"})
	w.running.RegisterActivityWithOptions(func(ctx context.Context, i int) error {
		activity.RecordHeartbeat(ctx, i)
		<-release
		return nil
	}, activity.RegisterOptions{Name: "say"})
	if err := w.running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.running.Stop)
	run, err := w.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: w.queue}, "chorus")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually.Holds(t, "each shows its own progress after several heartbeats", func() bool {
		d, err := w.temporal.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
		if err != nil {
			t.Fatal(err)
		}
		said := map[int]bool{}
		for _, p := range d.GetPendingActivities() {
			var i int
			if converter.GetDefaultDataConverter().FromPayloads(p.GetHeartbeatDetails(), &i) == nil &&
				p.GetLastHeartbeatTime().AsTime().Sub(begin) > 3*time.Second {
				said[i] = true
			}
		}
		return len(said) == 5
	})
	close(release)
	if _, err := result(t, run); err != nil {
		t.Error(err)
	}
}

// envHelper makes the test binary a worker on the queue that it names. That worker starts the probe's activity and
// never finishes it, until it is killed.
const envHelper = "SKYCTL_TEST_HELPER"

func helper(queue string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cfg, err := config.Load(nil, os.Getenv)
	if err != nil {
		return fail(err)
	}
	c, err := devserver.DialTemporal(context.Background(), cfg, os.Stderr)
	if err != nil {
		return fail(err)
	}
	w := worker.New(c, queue, worker.Activities{
		Clusters: &record.Activities{}, Machines: &machines.Activities{}, Nodes: &nodes.Activities{},
		Sweeps: &observe.Activities{}, GPUs: &gpustack.Activities{}, SnapshotChecks: &snapshots.Verifier{},
	})
	onProbe(w, func(context.Context) (string, error) {
		fmt.Println("begun")
		select {}
	})
	if err := w.Run(nil); err != nil { // until it is killed
		return fail(err)
	}
	return 0
}

// killDuringProbe starts a probe, and kills the worker that runs its activity.
func killDuringProbe(t *testing.T, w *world, heartbeat time.Duration,
	before func(client.WorkflowRun)) client.WorkflowRun {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	doomed := exec.CommandContext(t.Context(), self)
	doomed.Env = append(os.Environ(), envHelper+"="+w.queue)
	for k, v := range shared.Env {
		doomed.Env = append(doomed.Env, k+"="+v)
	}
	doomed.Stderr = os.Stderr
	out, err := doomed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := doomed.Start(); err != nil {
		t.Fatal(err)
	}
	run := startProbe(t, w.temporal, w.queue, heartbeat)
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatalf("the worker did not start: %v", err)
	}
	before(run)
	if err := doomed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = doomed.Wait()
	return run
}

// startNextWorker starts a worker whose activity says which try it is.
func startNextWorker(t *testing.T, w *world) {
	t.Helper()
	w.running = worker.New(w.temporal, w.queue, w.acts)
	onProbe(w.running, func(ctx context.Context) (string, error) {
		return fmt.Sprintf("try %d", activity.GetInfo(ctx).Attempt), nil
	})
	if err := w.running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.running.Stop)
}

func TestNextWorkerResumesTheActivityOfAKilledWorker(t *testing.T) {
	t.Parallel()
	w := newIdleWorld(t, shared)
	run := killDuringProbe(t, w, silence, func(client.WorkflowRun) {})
	startNextWorker(t, w)
	if said, err := result(t, run); err != nil || said == "try 1" {
		t.Errorf("%q, %v", said, err)
	}
	ended := findActivityTimeouts(t, run)
	if len(ended) == 0 || slices.ContainsFunc(ended, func(how string) bool {
		return how != enums.TIMEOUT_TYPE_HEARTBEAT.String()
	}) {
		t.Errorf("the first try ended by %v, want its silence", ended)
	}
}

func TestOnlyWorkerResumesActivitiesOfAKilledOneAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(client.WorkflowRun)
		want   func(said string, err error) bool
	}{
		{"running", func(client.WorkflowRun) {},
			func(said string, err error) bool { return err == nil && said == "try 2" }},
		{"cancelled", func(run client.WorkflowRun) {
			if err := shared.Temporal.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
				t.Error(err)
			}
			eventually.Holds(t, "the activity is asked to stop", func() bool {
				d, err := shared.Temporal.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
				return err == nil && len(d.GetPendingActivities()) == 1 && d.GetPendingActivities()[0].GetState() ==
					enums.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
			})
		}, func(_ string, err error) bool { return temporal.IsCanceledError(err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newIdleWorld(t, shared)
			run := killDuringProbe(t, w, longSilence, c.before)
			eventually.Holds(t, "Temporal lists the operation", func() bool {
				all, err := w.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
					Query: fmt.Sprintf("TaskQueue = '%s' AND ExecutionStatus = 'Running'", w.queue)})
				return err == nil && len(all.GetExecutions()) == 1
			})
			worker.ReleaseInterrupted(t.Context(), w.temporal, shared.Config.Temporal.Namespace, w.queue,
				slog.Default())
			startNextWorker(t, w)
			if said, err := result(t, run); !c.want(said, err) {
				t.Errorf("%q, %v", said, err)
			}
			if waited := findActivityTimeouts(t, run); len(waited) > 0 {
				t.Errorf("Temporal waited for the killed worker: %v", waited)
			}
		})
	}
}

// findActivityTimeouts returns the time-outs of activities in the history of a workflow, also of tries that were
// repeated.
func findActivityTimeouts(t *testing.T, run client.WorkflowRun) (found []string) {
	t.Helper()
	events := shared.Temporal.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false,
		enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		started, over := e.GetActivityTaskStartedEventAttributes(), e.GetActivityTaskTimedOutEventAttributes()
		for _, f := range []*failure.Failure{started.GetLastFailure(), over.GetFailure()} {
			if timeout := f.GetTimeoutFailureInfo(); timeout != nil {
				found = append(found, timeout.GetTimeoutType().String())
			}
		}
	}
	return found
}

func TestHeartbeatsThatFailCancelNothing(t *testing.T) {
	t.Parallel()
	w := newIdleWorld(t, shared)
	var failing atomic.Bool
	var failed atomic.Int32
	failing.Store(true)
	c, err := devserver.DialTemporal(t.Context(), shared.Config, os.Stderr, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker,
			opts ...grpc.CallOption) error {
			if strings.HasSuffix(method, "/RecordActivityTaskHeartbeat") && failing.Load() {
				failed.Add(1)
				return status.Error(codes.Unavailable, "the database is busy")
			}
			return next(ctx, method, req, reply, conn, opts...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w.running = worker.New(c, w.queue, w.acts)
	cancelled := make(chan error, 1)
	onProbe(w.running, func(ctx context.Context) (string, error) {
		activity.RecordHeartbeat(ctx, "working")
		select {
		case <-ctx.Done():
			cancelled <- context.Cause(ctx)
			return "", ctx.Err()
		case <-time.After(silence): // the subject of the test
			return fmt.Sprintf("try %d", activity.GetInfo(ctx).Attempt), nil
		}
	})
	if err := w.running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.running.Stop)
	run := startProbe(t, w.temporal, w.queue, longSilence)
	said, err := result(t, run)
	if err != nil || said != "try 1" || failed.Load() == 0 {
		t.Errorf("%q, %v after %d failed heartbeats", said, err, failed.Load())
	}
	select {
	case why := <-cancelled:
		t.Errorf("the activity was cancelled: %v", why)
	default:
	}
}
