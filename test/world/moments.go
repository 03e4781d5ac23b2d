package world

import (
	"context"
	"net/http"
	"net/url"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// Moments of an activity at which a worker in another process tells of it.
const (
	// Before: it is about to run.
	Before = "before"
	// After: it has done what it does, and Temporal has yet to hear of that.
	After = "after"
)

// Moment is such a moment.
type Moment struct {
	When, Workflow, Activity string
}

// ServeMoments hears of the moments of another process's activities. That process waits for reach to return.
func ServeMoments(reach func(Moment)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		reach(Moment{When: q.Get("when"), Workflow: q.Get("workflow"), Activity: q.Get("activity")})
		w.WriteHeader(http.StatusNoContent)
	})
}

// TellMoments makes a worker tell of its activities' moments at a socket.
func TellMoments(socket string) interceptor.WorkerInterceptor {
	return &teller{http: overSocket(socket)}
}

type teller struct {
	interceptor.WorkerInterceptorBase
	http *http.Client
}

func (t *teller) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	told := &toldOf{teller: t}
	told.Next = next
	return told
}

type toldOf struct {
	interceptor.ActivityInboundInterceptorBase
	teller *teller
}

func (t *toldOf) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	t.tell(ctx, Before)
	result, err := t.Next.ExecuteActivity(ctx, in)
	if err == nil {
		t.tell(ctx, After)
	}
	return result, err
}

// tell waits for the answer, whatever becomes of the activity.
func (t *toldOf) tell(ctx context.Context, when string) {
	info := activity.GetInfo(ctx)
	q := url.Values{"when": {when}, "activity": {info.ActivityType.Name}}
	if info.WorkflowType != nil {
		q.Set("workflow", info.WorkflowType.Name)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, "http://test/moment?"+q.Encode(), nil)
	if err != nil {
		return
	}
	if resp, err := t.teller.http.Do(r); err == nil {
		_ = resp.Body.Close()
	}
}
