package worker

import (
	"log/slog"

	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// newHomeWatch returns the watch over the installation's home. A team's installation lives in its etcd, so it has no
// directory on this computer.
func newHomeWatch(cfg *config.Config, st *store.Store, pool *remote.Pool, log *slog.Logger) (*homewatch.Watch,
	error) {
	w := &homewatch.Watch{Store: st, Pool: pool, Now: utcNow, Log: log}
	if cfg.IsExternal() {
		return w, nil
	}
	w.Here, w.Ledger = home.FindLocation(cfg.Dir), home.Ledger{Dir: cfg.LedgerDir}
	var err error
	w.Restored, err = home.ReadRestoration(cfg.ServerDir())
	return w, err
}
