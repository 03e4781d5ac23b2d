package world

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// Moments of an activity that a worker in another process reports.
const (
	// BeforeActivity means that it is about to run.
	BeforeActivity = "before"
	// AfterActivity means that it has run, but Temporal does not know yet.
	AfterActivity = "after"
)

// ActivityMoment is such a moment.
type ActivityMoment struct {
	When, Workflow, Activity string
	// Worker identifies the worker's process; unlike a process id, nobody gets it again.
	Worker string
}

// workerID identifies this process.
var workerID = rand.Text()

// ServeMoments receives the moments of another process's activities. That process waits for reach to return.
func ServeMoments(reach func(ActivityMoment)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		reach(ActivityMoment{When: q.Get("when"), Workflow: q.Get("workflow"), Activity: q.Get("activity"),
			Worker: q.Get("worker")})
		w.WriteHeader(http.StatusNoContent)
	})
}

// ReportMoments makes a worker report its activities' moments at a socket.
func ReportMoments(socket string) interceptor.WorkerInterceptor {
	return &momentReporter{http: newSocketClient(socket)}
}

type momentReporter struct {
	interceptor.WorkerInterceptorBase
	http *http.Client
}

func (t *momentReporter) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	told := &reportingInterceptor{teller: t}
	told.Next = next
	return told
}

type reportingInterceptor struct {
	interceptor.ActivityInboundInterceptorBase
	teller *momentReporter
}

func (t *reportingInterceptor) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	t.reportMoment(ctx, BeforeActivity)
	result, err := t.Next.ExecuteActivity(ctx, in)
	if err == nil {
		t.reportMoment(ctx, AfterActivity)
	}
	return result, err
}

// reportMoment waits for the answer, also if the activity is cancelled.
func (t *reportingInterceptor) reportMoment(ctx context.Context, when string) {
	info := activity.GetInfo(ctx)
	q := url.Values{"when": {when}, "activity": {info.ActivityType.Name}, "worker": {workerID}}
	if info.WorkflowType != nil {
		q.Set("workflow", info.WorkflowType.Name)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, "http://test/moment?"+q.Encode(),
		nil)
	if err != nil {
		return
	}
	if resp, err := t.teller.http.Do(r); err == nil {
		_ = resp.Body.Close()
	}
}
