package worker

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// heartbeatInterval is how often a running activity tells that it is alive, and hears whether it is cancelled.
const heartbeatInterval = 2 * time.Second

// heartbeatSendInterval is how often beats are sent on to Temporal: progress and cancellation travel with them, so
// often enough for a person who waits, and seldom enough for a database. It is also how long Temporal may take to
// answer one before the SDK takes the activity for cancelled (v1.50.0 bounds the call by this), so a busy machine needs
// some seconds.
const heartbeatSendInterval = 5 * time.Second

// heartbeatInterceptor keeps the heartbeat of every activity going that is expected to have one, so that each activity
// need only report progress. A worker that is dead stops beating, which is what the beat is to show.
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

// activityHeartbeat is the beat of one run of an activity.
type activityHeartbeat struct {
	interceptor.ActivityInboundInterceptorBase
	out interceptor.ActivityOutboundInterceptor

	mu   sync.Mutex
	last []any // the progress last reported: every beat replaces the one before, so it has to say it again
}

// Init keeps the way out, and listens there to what progress the activity itself reports.
func (b *activityHeartbeat) Init(out interceptor.ActivityOutboundInterceptor) error {
	b.out = out
	l := &progressListener{beat: b}
	l.Next = out
	return b.Next.Init(l)
}

// ExecuteActivity runs the activity with a beat beside it.
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
				// An activity that was cancelled is alive until it returns, and waited for: if it fell silent while it
				// tidies up, it would be taken for dead, and clean-up would race it.
				b.repeatHeartbeat(context.WithoutCancel(ctx))
			}
		}
	}()
	defer func() { close(done); <-stopped }()
	return b.Next.ExecuteActivity(ctx, in)
}

// repeatHeartbeat says the last progress again. The lock is held so that it does not overtake, and hide, a newer one.
func (b *activityHeartbeat) repeatHeartbeat(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.RecordHeartbeat(ctx, b.last...)
}

// progressListener is on the way out of an activity.
type progressListener struct {
	interceptor.ActivityOutboundInterceptorBase
	beat *activityHeartbeat
}

// RecordHeartbeat remembers the progress and passes it on.
func (l *progressListener) RecordHeartbeat(ctx context.Context, details ...any) {
	l.beat.mu.Lock()
	defer l.beat.mu.Unlock()
	l.beat.last = details
	l.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}
