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

// keepTunnels keeps ports open, until stop, to clusters whose API is reached through SSH. Only skyd dev, which runs as
// the clusters' owner, does so; members of a team use skyctl tunnel.
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
