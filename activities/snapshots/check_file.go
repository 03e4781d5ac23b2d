package snapshots

import (
	"context"
	"errors"
	"io"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
)

// CheckSnapshotFile reads the file of a kept snapshot to its end, and compares it with what was taken. A file that is
// missing or damaged, and a snapshot without its server token, are results; an error means that this is unknown.
func (a *Activities) CheckSnapshotFile(ctx context.Context, in operation.CheckSnapshotInput) (
	operation.CheckSnapshotResult, error) {
	err := a.checkFile(ctx, in.Cluster, in.Name)
	if ctx.Err() == nil && isLost(err) {
		return operation.CheckSnapshotResult{Problem: redact.Text(err.Error())}, nil
	}
	return operation.CheckSnapshotResult{}, activities.StepError(ctx, "check the file of snapshot "+in.Name, "", err)
}

func (a *Activities) checkFile(ctx context.Context, ref api.Ref, name string) error {
	s, err := a.Store.ReadSnapshot(ctx, ref, name)
	if err != nil {
		return err
	}
	if _, err := a.Store.ReadSnapshotToken(ctx, ref, name); err != nil {
		return err
	}
	return a.Files.CopyChecked(ctx, s, &progressWriter{ctx: ctx, now: a.Now})
}

// isLost reports whether an error says that a snapshot, or a part of it, is gone or damaged for good.
func isLost(err error) bool {
	reasoned, ok := errors.AsType[interface {
		error
		Reason() string
	}](err)
	if !ok {
		return false
	}
	switch reasoned.Reason() {
	case "SnapshotDamaged", "SnapshotMissing", "NotStored", "Unreadable":
		return true
	}
	return false
}

// progressWriter forgets what it gets, and sends heartbeats meanwhile.
type progressWriter struct {
	ctx      context.Context //nolint:containedctx // of one copy, for its progress
	now      func() time.Time
	reported time.Time
}

var _ io.Writer = (*progressWriter)(nil)

func (w *progressWriter) Write(p []byte) (int, error) {
	if now := w.now(); activity.IsActivity(w.ctx) && now.Sub(w.reported) >= progressPause {
		w.reported = now
		activity.RecordHeartbeat(w.ctx)
	}
	return len(p), w.ctx.Err()
}
