package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/embedded"
	"github.com/sky-shift/skyctl/pkg/version"
	"github.com/sky-shift/skyctl/worker"
)

// workerStopTimeout is how long the worker may take to finish what it is at; Temporal gives the rest to the next
// worker.
const workerStopTimeout = 30 * time.Second

// runDev runs until the context ends or a part of it fails. It stops in the order of need: worker, Temporal, etcd.
func runDev(ctx context.Context, cfg *config.Config, log *slog.Logger) (err error) {
	begun := time.Now()
	used := cfg.UsedSettings()
	stack, err := embedded.StartServers(ctx, embedded.Options{Config: cfg, Log: log,
		Restart: func() { restartProcess(log) }})
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop while it started
		}
		return err
	}
	defer func() {
		err = errors.Join(err, stack.Close())
		log.Info("stopped")
	}()
	if err := worker.PrepareSecretsKey(ctx, cfg); err != nil {
		return err
	}
	workerCtx, stopWorker := context.WithCancel(ctx)
	defer stopWorker()
	working := make(chan error, 1)
	go func() { working <- runWorker(workerCtx, cfg, log) }()

	if err := daemon.PublishState(cfg, newDaemonState(cfg, used, stack)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.WithdrawState(cfg)) }()
	log.Info("ready", "temporal", stack.TemporalAddress(), "etcd", stack.EtcdEndpoint(), "ui", stack.UIAddress(),
		"dir", cfg.Dir, "after", time.Since(begun).Round(time.Millisecond))

	select {
	case err := <-working:
		if err == nil && ctx.Err() == nil {
			err = errors.New("it ended by itself")
		}
		if err != nil {
			return fmt.Errorf("running the worker: %w", err)
		}
		return nil
	case <-stack.Done():
		err = stack.Err()
	case <-ctx.Done():
	}
	log.Info("stopping")
	stopWorker()
	select {
	case workerErr := <-working:
		return errors.Join(err, workerErr)
	case <-time.After(workerStopTimeout):
		log.Warn("the worker didn't stop in time: what it was at is taken up at the next start", "after",
			workerStopTimeout)
		return err
	}
}

// restartProcess has this process begin again as it was started; it returns only where that can't be done.
func restartProcess(log *slog.Logger) {
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ()) //nolint:gosec // it is this program
	}
	log.Error("it could not begin anew: start it again", "error", err)
}

func newDaemonState(cfg *config.Config, used map[string]api.UsedSetting, stack *embedded.Stack) daemon.State {
	return daemon.State{
		PID:             os.Getpid(),
		Version:         version.ReadBuild().Version,
		Started:         time.Now().UTC().Truncate(time.Second),
		TemporalAddress: stack.TemporalAddress(),
		Namespace:       cfg.Temporal.Namespace,
		EtcdEndpoint:    stack.EtcdEndpoint(),
		UIAddress:       stack.UIAddress(),
		Level:           api.SpecLevel,
		Settings:        used,
	}
}
