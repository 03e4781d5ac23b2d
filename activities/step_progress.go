package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// RecordMachineState records what is being done to a machine.
func RecordMachineState(ctx context.Context, s *store.Store, m MachineRef, state api.MachineState, doing string,
	now time.Time) error {
	_, err := s.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetState(state, doing, now)
		return nil
	})
	return err
}

const (
	// progressInterval bounds how often progress within a step is written to etcd.
	progressInterval = time.Second
	// ProgressTimeout bounds such a write: progress must not hold up a step.
	ProgressTimeout = 2 * time.Second
)

// NewProgressReporter returns a function that reports progress within a step: each time in the heartbeat, and in etcd
// at most once per progressInterval. It ignores failed writes.
func NewProgressReporter(ctx context.Context, s *store.Store, m MachineRef, clock func() time.Time) func(string) {
	return newReporter(ctx, s, m, clock, func(r *api.Machine, doing string, now time.Time) {
		r.Step, r.Since = doing, now
	})
}

// NewLaunchReporter reports the progress of a launch. The time counts from the first launch, even if that failed and
// another one is running.
func NewLaunchReporter(ctx context.Context, s *store.Store, m MachineRef, clock func() time.Time) func(string) {
	return newReporter(ctx, s, m, clock, func(r *api.Machine, doing string, now time.Time) {
		r.SetProgress(doing)
		if r.Since = r.LaunchedAt; r.Since.IsZero() {
			r.Since = now
		}
	})
}

func newReporter(ctx context.Context, s *store.Store, m MachineRef, clock func() time.Time,
	note func(*api.Machine, string, time.Time)) func(string) {
	var last string
	var written time.Time
	return func(doing string) {
		doing = redact.Text(doing)
		RecordHeartbeat(ctx, doing)
		now := clock()
		if doing == last || now.Sub(written) < progressInterval {
			return
		}
		last, written = doing, now
		ctx, cancel := context.WithTimeout(ctx, ProgressTimeout)
		defer cancel()
		_, _ = s.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
			note(r, doing, now)
			return nil
		})
	}
}

// RecordHeartbeat records progress in the workflow's history. An interceptor of package worker sends the heartbeats in
// between.
func RecordHeartbeat(ctx context.Context, progress string) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, redact.Text(progress))
	}
}
