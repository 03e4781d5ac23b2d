package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/diskspace"
)

// diskSpaceCheckInterval is how often the free space of the state directory is checked.
const diskSpaceCheckInterval = 2 * time.Second

// awaitDiskSpace returns once there is enough free space to work. Servers that start on a full disk exit at once or,
// worse, half started.
func awaitDiskSpace(ctx context.Context, dir string, log *slog.Logger) error {
	space, err := diskspace.ReadSpace(dir)
	if err != nil || !space.IsFull() {
		return err
	}
	log.Error(space.DescribeProblem() + ": waiting for free space; " + diskspace.Hint)
	err = await.Condition(ctx, diskSpaceCheckInterval, func() (enough bool, err error) {
		space, err = diskspace.ReadSpace(dir)
		return space.HasRoom(), err
	})
	switch {
	case err == nil:
		log.Info("there is enough free disk space again", "free_bytes", space.Free)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", space.DescribeProblem(), err)
	}
	return err
}

// diskSpaceMonitor logs when the disk becomes full, and when it no longer is.
type diskSpaceMonitor struct {
	dir  string
	log  *slog.Logger
	full bool
}

// checkDiskSpace reads the free space, and reports whether it could.
func (m *diskSpaceMonitor) checkDiskSpace() bool {
	space, err := diskspace.ReadSpace(m.dir)
	if err != nil {
		return false // the servers report more about that
	}
	switch full := space.IsFull(); {
	case full && !m.full:
		m.full = true
		m.log.Error(space.DescribeProblem() + ": operations and sweeps are stopped; " + diskspace.Hint)
	case !full && m.full && space.HasRoom():
		m.full = false
		m.log.Info("there is enough free disk space again: operations and sweeps continue", "free_bytes", space.Free)
	}
	return true
}
