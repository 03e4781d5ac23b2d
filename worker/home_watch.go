package worker

import (
	"log/slog"

	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// newHomeWatch watches over the home of the installation. That of a team is its etcd, which lies in no directory of
// this computer.
func newHomeWatch(cfg *config.Config, st *store.Store, pool *remote.Pool, log *slog.Logger) *homewatch.Watch {
	w := &homewatch.Watch{Store: st, Pool: pool, Now: utcNow, Log: log}
	if !cfg.IsExternal() {
		w.Here, w.Ledger = home.FindLocation(cfg.Dir), home.Ledger{Dir: cfg.LedgerDir}
	}
	return w
}
