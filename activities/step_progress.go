package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// RecordMachineState records in etcd what is being done to a machine now.
func RecordMachineState(ctx context.Context, s *store.Store, m MachineRef, state api.MachineState, doing string,
	now time.Time) error {
	_, err := s.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetState(state, doing, now)
		return nil
	})
	return err
}

const (
	// progressInterval bounds how often progress within one step is written to etcd.
	progressInterval = time.Second
	// ProgressTimeout bounds such a write: a step does not stand still for what only tells people of it.
	ProgressTimeout = 2 * time.Second
)

// NewProgressReporter returns a function that tells people what is being done within a step: in the heartbeat each
// time, in etcd at most once per progressInterval. A write that fails costs nothing but the message.
func NewProgressReporter(ctx context.Context, s *store.Store, m MachineRef, clock func() time.Time) func(string) {
	return newReporter(ctx, s, m, clock, func(r *api.Machine, doing string, now time.Time) {
		r.Step, r.Since = doing, now
	})
}

// NewLaunchReporter is progress of a launch. It may be a new one where others failed: its time counts from the first.
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

// RecordHeartbeat reports progress to the workflow's history; the interceptor of package worker keeps the beat itself
// going.
func RecordHeartbeat(ctx context.Context, progress string) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, redact.Text(progress))
	}
}
