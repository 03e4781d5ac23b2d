package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/daemon"
	"github.com/sky-shift/skyctl/pkg/embedded"
	"github.com/sky-shift/skyctl/pkg/version"
)

// workerStop is how long the worker may take to finish what it is at; Temporal gives the rest to the next worker.
const workerStop = 30 * time.Second

// runDev runs until the context ends or a part of it fails. It stops in the order of need: worker, Temporal, etcd.
func runDev(ctx context.Context, cfg *config.Config, log *slog.Logger) (err error) {
	begun := time.Now()
	used := cfg.Used()
	stack, err := embedded.Start(ctx, embedded.Options{Config: cfg, Log: log})
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
	workerCtx, stopWorker := context.WithCancel(ctx)
	defer stopWorker()
	worker := make(chan error, 1)
	go func() { worker <- runWorker(workerCtx, cfg, log) }()

	if err := daemon.Publish(cfg, state(cfg, used, stack)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Withdraw(cfg)) }()
	log.Info("ready", "temporal", stack.TemporalAddress(), "etcd", stack.EtcdEndpoint(), "ui", stack.UIAddress(),
		"dir", cfg.Dir, "after", time.Since(begun).Round(time.Millisecond))

	select {
	case err := <-worker:
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
	case workerErr := <-worker:
		return errors.Join(err, workerErr)
	case <-time.After(workerStop):
		log.Warn("the worker didn't stop in time: what it was at is taken up at the next start", "after", workerStop)
		return err
	}
}

func state(cfg *config.Config, used map[string]api.UsedSetting, stack *embedded.Stack) daemon.State {
	return daemon.State{
		PID:             os.Getpid(),
		Version:         version.Get().Version,
		Started:         time.Now().UTC().Truncate(time.Second),
		TemporalAddress: stack.TemporalAddress(),
		Namespace:       cfg.Temporal.Namespace,
		EtcdEndpoint:    stack.EtcdEndpoint(),
		UIAddress:       stack.UIAddress(),
		Level:           api.SpecLevel,
		Settings:        used,
	}
}
