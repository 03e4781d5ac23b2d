package worker

import (
	"context"
	"log/slog"
	"sync"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/tunnel"
)

// keepTunnels keeps open, until stop, the ports that lead to clusters whose API is reached through SSH. Only a worker
// that runs as the person whose clusters these are does so; others' people have skyctl tunnel.
func keepTunnels(ctx context.Context, cfg *config.Config, st *store.Store, pool *remote.Pool,
	log *slog.Logger) (stop func()) {
	if cfg.IsExternal() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { tunnel.KeepOpen(ctx, st, pool, log) })
	return func() {
		cancel()
		done.Wait()
	}
}
