package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/interceptor"
)

// heartbeatCounter counts the heartbeats that are passed to the SDK, each of which takes a while.
type heartbeatCounter struct {
	interceptor.ActivityOutboundInterceptorBase
	sent atomic.Int64
	took time.Duration
	last atomic.Value
}

func (c *heartbeatCounter) RecordHeartbeat(ctx context.Context, details ...any) {
	c.sent.Add(1)
	if len(details) > 0 {
		c.last.Store(details[0])
	}
	select {
	case <-ctx.Done():
	case <-time.After(c.took):
	}
}

// startHeartbeats starts the heartbeats of some activities of one worker.
func startHeartbeats(ctx context.Context, count int, timeout time.Duration, c *heartbeatCounter) []*activityHeartbeat {
	var running atomic.Int64
	running.Store(int64(count))
	all := make([]*activityHeartbeat, count)
	for i := range all {
		all[i] = &activityHeartbeat{out: c, running: &running, reported: make(chan struct{}, 1), sending: true}
		go all[i].sendHeartbeats(ctx, timeout)
	}
	return all
}

func TestHeartbeatsAreFewerTheMoreActivitiesRun(t *testing.T) {
	const minute = 60
	for count, rates := range map[int][2]int64{
		1:    {30, 31},
		20:   {20 * 30, 20 * 31},
		200:  {heartbeatRate*minute - 200, heartbeatRate*minute + 200}, // bounded by the rate
		2000: {3 * 2000, 4 * 2000},                                     // bounded by the heartbeat timeout
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var c heartbeatCounter
			startHeartbeats(ctx, count, time.Minute, &c)
			time.Sleep(time.Minute)
			cancel()
			synctest.Wait()
			if n := c.sent.Load(); n < rates[0] || n > rates[1] {
				t.Errorf("%d activities sent %d heartbeats in a minute, want %d to %d", count, n, rates[0], rates[1])
			}
		})
	}
}

func TestProgressIsSentAtOnceAndDelaysNoActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := heartbeatCounter{took: time.Hour}
		l := &progressListener{heartbeat: startHeartbeats(ctx, 1, time.Minute, &c)[0]}
		begun := time.Now()
		l.RecordHeartbeat(ctx, "installing")
		synctest.Wait()
		if c.last.Load() != "installing" {
			t.Errorf("sent %v", c.last.Load())
		}
		for range 10 {
			l.RecordHeartbeat(ctx, "joining")
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("reports took %s while Temporal did not answer", took)
		}
		cancel()
	})
}
