package worker

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// heartbeatInterval is how often a running activity reports that it is alive, and learns whether it is cancelled.
const heartbeatInterval = 2 * time.Second

// heartbeatSendInterval is how often the SDK sends heartbeats to Temporal. They carry progress and cancellation, so
// they are frequent enough for a person who waits and rare enough for a database. SDK v1.50.0 also uses this as the
// timeout of the call, after which it treats the activity as cancelled; a busy machine needs some seconds.
const heartbeatSendInterval = 5 * time.Second

// heartbeatInterceptor sends heartbeats for every activity that needs them, so that the activities only report
// progress. When the worker process dies, the heartbeats stop.
type heartbeatInterceptor struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor; it is called once for each run of an activity.
func (*heartbeatInterceptor) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	b := &activityHeartbeat{}
	b.Next = next
	return b
}

// activityHeartbeat sends the heartbeats of one run of an activity.
type activityHeartbeat struct {
	interceptor.ActivityInboundInterceptorBase
	out interceptor.ActivityOutboundInterceptor

	mu   sync.Mutex
	last []any // the last progress: each heartbeat replaces the one before, so it has to repeat it
}

// Init keeps the outbound interceptor, and records the progress that the activity reports through it.
func (b *activityHeartbeat) Init(out interceptor.ActivityOutboundInterceptor) error {
	b.out = out
	l := &progressListener{heartbeat: b}
	l.Next = out
	return b.Next.Init(l)
}

// ExecuteActivity runs the activity and sends heartbeats meanwhile.
func (b *activityHeartbeat) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if activity.GetInfo(ctx).HeartbeatTimeout == 0 {
		return b.Next.ExecuteActivity(ctx, in)
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(heartbeatInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				// A cancelled activity sends heartbeats until it returns. Without them Temporal would time it out
				// while it cleans up, and the workflow's own clean-up would run at the same time.
				b.repeatHeartbeat(context.WithoutCancel(ctx))
			}
		}
	}()
	defer func() { close(done); <-stopped }()
	return b.Next.ExecuteActivity(ctx, in)
}

// repeatHeartbeat sends the last progress again. It holds the lock, so that it cannot overwrite newer progress.
func (b *activityHeartbeat) repeatHeartbeat(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.RecordHeartbeat(ctx, b.last...)
}

// progressListener records the progress that an activity reports.
type progressListener struct {
	interceptor.ActivityOutboundInterceptorBase
	heartbeat *activityHeartbeat
}

// RecordHeartbeat remembers the progress and passes it on.
func (l *progressListener) RecordHeartbeat(ctx context.Context, details ...any) {
	l.heartbeat.mu.Lock()
	defer l.heartbeat.mu.Unlock()
	l.heartbeat.last = details
	l.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}
