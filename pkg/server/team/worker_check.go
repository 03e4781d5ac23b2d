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

// CheckWorker returns nil if etcd answers and a worker on this host polls Temporal. In a container, which has its own
// host name, that is the worker in the same container.
func CheckWorker(ctx context.Context, cfg *config.Config, now func() time.Time) error {
	s, err := connect.OpenStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // it was only read
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c, err := dialTemporal(ctx, cfg)
	if err != nil {
		return fmt.Errorf("querying Temporal at %s for workers: %w", cfg.Temporal.Address, err)
	}
	defer c.Close()
	workers, err := connect.ListActiveWorkers(ctx, cfg, c, now())
	if err != nil {
		return fmt.Errorf("querying Temporal at %s for workers: %w", cfg.Temporal.Address, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reading the host name: %w", err)
	}
	if slices.ContainsFunc(workers, func(w string) bool { return strings.HasSuffix(w, " on "+host) }) {
		return nil
	}
	return fmt.Errorf("no worker on %s polls the task queue %s of Temporal %s", host, cfg.Temporal.TaskQueue,
		cfg.Temporal.Address)
}
