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
			case <-ctx.Done():
				return
			case <-tick.C:
				b.mu.Lock()
				last := b.last
				b.mu.Unlock()
				b.out.RecordHeartbeat(ctx, last...)
			}
		}
	}()
	defer func() { close(done); <-stopped }()
	return b.Next.ExecuteActivity(ctx, in)
}

// listener is on the way out of an activity.
type listener struct {
	interceptor.ActivityOutboundInterceptorBase
	beat *beating
}

// RecordHeartbeat remembers the progress and passes it on.
func (l *listener) RecordHeartbeat(ctx context.Context, details ...any) {
	l.beat.mu.Lock()
	l.beat.last = details
	l.beat.mu.Unlock()
	l.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
}
