package team

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
)

// CheckWorker is nil where etcd answers and a worker on this host asks Temporal for work. In a container, whose host is
// its own, that is the worker beside it.
func CheckWorker(ctx context.Context, cfg *config.Config, now func() time.Time) error {
	s, err := connect.OpenStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // nothing was written
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c, err := dialTemporal(ctx, cfg)
	if err != nil {
		return fmt.Errorf("asking Temporal at %s for workers: %w", cfg.Temporal.Address, err)
	}
	defer c.Close()
	workers, err := connect.ListActiveWorkers(ctx, cfg, c, now())
	if err != nil {
		return fmt.Errorf("asking Temporal at %s for workers: %w", cfg.Temporal.Address, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for this host's name: %w", err)
	}
	if slices.ContainsFunc(workers, func(w string) bool { return strings.HasSuffix(w, " on "+host) }) {
		return nil
	}
	return fmt.Errorf("no worker on %s asks for work at the task queue %s of Temporal %s", host, cfg.Temporal.TaskQueue,
		cfg.Temporal.Address)
}
