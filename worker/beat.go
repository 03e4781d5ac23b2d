package worker

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// beatEvery is how often a running activity tells that it is alive, and hears whether it is cancelled.
const beatEvery = 2 * time.Second

// sendEvery is how often beats are sent on to Temporal: progress and cancellation travel with them, so often enough for a
// person who waits, and seldom enough for a database. It is also how long Temporal may take to answer one before the SDK takes
// the activity for cancelled (v1.50.0 bounds the call by this), so a busy machine needs some seconds.
const sendEvery = 5 * time.Second

// beater keeps the heartbeat of every activity going that is expected to have one, so that each activity need only
// report progress. A worker that is dead stops beating, which is what the beat is to show.
type beater struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor; it is called once for each run of an activity.
func (*beater) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	b := &beating{}
	b.Next = next
	return b
}

// beating is the beat of one run of an activity.
type beating struct {
	interceptor.ActivityInboundInterceptorBase
	out interceptor.ActivityOutboundInterceptor

	mu   sync.Mutex
	last []any // the progress last reported: every beat replaces the one before, so it has to say it again
}

// Init keeps the way out, and listens there to what progress the activity itself reports.
func (b *beating) Init(out interceptor.ActivityOutboundInterceptor) error {
	b.out = out
	l := &listener{beat: b}
	l.Next = out
	return b.Next.Init(l)
}

// ExecuteActivity runs the activity with a beat beside it.
func (b *beating) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if activity.GetInfo(ctx).HeartbeatTimeout == 0 {
		return b.Next.ExecuteActivity(ctx, in)
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				// An activity that was cancelled is alive until it returns, and waited for: if it fell silent while it
				// tidies up, it would be taken for dead, and clean-up would race it.
				b.beat(context.WithoutCancel(ctx))
			}
		}
	}()
	defer func() { close(done); <-stopped }()
	return b.Next.ExecuteActivity(ctx, in)
}

// beat says the last progress again. The lock is held so that it does not overtake, and hide, a newer one.
func (b *beating) beat(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.RecordHeartbeat(ctx, b.last...)
}

// listener is on the way out of an activity.
type listener struct {
	interceptor.ActivityOutboundInterceptorBase
	beat *beating
}

// RecordHeartbeat remembers the progress and passes it on.
func (l *listener) RecordHeartbeat(ctx context.Context, details ...any) {
	l.beat.mu.Lock()
	defer l.beat.mu.Unlock()
	l.beat.last = details
	l.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}
