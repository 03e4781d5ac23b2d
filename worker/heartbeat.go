package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/sky-shift/skyctl/pkg/client/connect"
)

const (
	// heartbeatInterval is how often a running activity reports that it is alive, and learns whether it is cancelled,
	// while few activities run.
	heartbeatInterval = 2 * time.Second
	// heartbeatRate bounds the heartbeats of a worker in a second. One costs skyd dev about 7 ms of CPU, most of it in
	// Temporal's database.
	heartbeatRate = 20
	// heartbeatsPerTimeout is how many heartbeats fit into the heartbeat timeout of an activity, whatever the rate: so
	// a late one does no harm.
	heartbeatsPerTimeout = 3
	// heartbeatFlushTimeout bounds the last heartbeat of an activity that failed.
	heartbeatFlushTimeout = 2 * time.Second
)

// heartbeatSendInterval is how often the SDK sends heartbeats to Temporal at most. They carry progress and
// cancellation, so they are frequent enough for a person who waits and rare enough for a database.
const heartbeatSendInterval = 5 * time.Second

// heartbeatInterceptor sends heartbeats for every activity that needs them, so that the activities only report
// progress. When the worker process dies, the heartbeats stop.
type heartbeatInterceptor struct {
	interceptor.WorkerInterceptorBase
	running atomic.Int64
}

// InterceptActivity implements interceptor.WorkerInterceptor; it is called once for each run of an activity.
func (h *heartbeatInterceptor) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	b := &activityHeartbeat{running: &h.running, reported: make(chan struct{}, 1)}
	b.Next = next
	return b
}

// heartbeatPause returns the time between two heartbeats of an activity while a number of them run.
func heartbeatPause(running int64, timeout time.Duration) time.Duration {
	spread := time.Duration(running) * time.Second / heartbeatRate
	return max(heartbeatInterval, min(spread, timeout/heartbeatsPerTimeout))
}

// activityHeartbeat sends the heartbeats of one run of an activity.
type activityHeartbeat struct {
	interceptor.ActivityInboundInterceptorBase
	out      interceptor.ActivityOutboundInterceptor
	running  *atomic.Int64 // all of the worker
	reported chan struct{} // there is new progress

	sending bool // heartbeats are sent in the background; set before the activity runs

	mu     sync.Mutex
	last   []any // the last progress: each heartbeat replaces the one before, so it has to repeat it
	unsent bool
}

// Init keeps the outbound interceptor, and records the progress that the activity reports through it.
func (b *activityHeartbeat) Init(out interceptor.ActivityOutboundInterceptor) error {
	b.out = out
	l := &progressListener{heartbeat: b}
	l.Next = out
	return b.Next.Init(l)
}

// ExecuteActivity runs the activity and sends heartbeats meanwhile. The activity never waits for one.
func (b *activityHeartbeat) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	timeout := activity.GetInfo(ctx).HeartbeatTimeout
	if timeout == 0 {
		return b.Next.ExecuteActivity(ctx, in)
	}
	b.sending = true
	b.running.Add(1)
	defer b.running.Add(-1)
	// A cancelled activity sends heartbeats until it returns. Without them Temporal would time it out while it cleans
	// up, and the workflow's own clean-up would run at the same time.
	sendCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.sendHeartbeats(connect.WithPatientHeartbeats(sendCtx), timeout)
	}()
	result, err := b.Next.ExecuteActivity(ctx, in)
	stop()
	<-stopped
	if err != nil {
		b.sendUnsent(ctx)
	}
	return result, err
}

// sendHeartbeats sends heartbeats until ctx ends. New progress is sent at once, unless that is too often.
func (b *activityHeartbeat) sendHeartbeats(ctx context.Context, timeout time.Duration) {
	begun := time.Now()
	pause := heartbeatPause(b.running.Load(), timeout)
	sent := begun.Add(-heartbeatInterval)
	next := time.NewTimer(pause/2 + rand.N(pause/2)) // many that start together do not stay together
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.reported:
			if time.Since(sent) < pause {
				continue
			}
		case <-next.C:
		}
		b.send(ctx)
		sent, pause = time.Now(), heartbeatPause(b.running.Load(), timeout)
		next.Reset(pause)
	}
}

// send sends the last progress.
func (b *activityHeartbeat) send(ctx context.Context) {
	b.mu.Lock()
	last := b.last
	b.unsent = false
	b.mu.Unlock()
	b.out.RecordHeartbeat(ctx, last...)
}

// sendUnsent sends the last progress of an activity that failed, which often says why.
func (b *activityHeartbeat) sendUnsent(ctx context.Context) {
	b.mu.Lock()
	unsent := b.unsent
	b.mu.Unlock()
	if !unsent {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatFlushTimeout)
	defer cancel()
	b.send(ctx)
}

// progressListener records the progress that an activity reports.
type progressListener struct {
	interceptor.ActivityOutboundInterceptorBase
	heartbeat *activityHeartbeat
}

// RecordHeartbeat remembers the progress for the next heartbeat.
func (l *progressListener) RecordHeartbeat(ctx context.Context, details ...any) {
	if !l.heartbeat.sending {
		l.ActivityOutboundInterceptorBase.RecordHeartbeat(ctx, details...)
		return
	}
	l.heartbeat.mu.Lock()
	l.heartbeat.last, l.heartbeat.unsent = details, true
	l.heartbeat.mu.Unlock()
	select {
	case l.heartbeat.reported <- struct{}{}:
	default: // it was told already
	}
}
