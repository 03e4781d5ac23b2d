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

// workerStopTimeout is how long the worker may take to stop. The next worker resumes what it did not finish.
const workerStopTimeout = 30 * time.Second

// runDev runs until the context ends or one of its parts fails. It stops the worker first, then Temporal, then etcd.
func runDev(ctx context.Context, cfg *config.Config, log *slog.Logger) (err error) {
	started := time.Now()
	used := cfg.UsedSettings()
	writer := daemon.Writer{Version: version.ReadBuild().Version, Level: api.WorkerLevel}
	if err := daemon.RefuseNewerState(cfg, writer); err != nil {
		return err
	}
	stack, err := embedded.StartServers(ctx, embedded.Options{Config: cfg, Log: log,
		Restart: func() { restartProcess(log) }})
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it started
		}
		return err
	}
	defer func() {
		err = errors.Join(err, stack.Close())
		log.Info("stopped")
	}()
	if err := prepareObjects(ctx, cfg, writer); err != nil {
		return err
	}
	workerCtx, stopWorker := context.WithCancel(ctx)
	defer stopWorker()
	working := make(chan error, 1)
	go func() { working <- worker.Run(workerCtx, cfg, log) }()

	if err := daemon.PublishState(cfg, newDaemonState(cfg, used, stack)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.WithdrawState(cfg)) }()
	log.Info("ready", "temporal", stack.TemporalAddress(), "etcd", stack.EtcdEndpoint(), "ui", stack.UIAddress(),
		"dir", cfg.Dir, "after", time.Since(started).Round(time.Millisecond))

	select {
	case err := <-working:
		if err == nil && ctx.Err() == nil {
			err = errors.New("it stopped without an error")
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
		log.Warn("the worker did not stop in time; the next start resumes its work", "after",
			workerStopTimeout)
		return err
	}
}

// prepareObjects makes sure that this skyd can read and write the objects. Only then a skyd of a lower level is
// refused.
func prepareObjects(ctx context.Context, cfg *config.Config, writer daemon.Writer) error {
	if err := worker.PrepareSecretsKey(ctx, cfg); err != nil {
		return err
	}
	return daemon.RecordWriter(cfg, writer)
}

// restartProcess replaces this process with a new start of the same command. It returns only if that fails.
func restartProcess(log *slog.Logger) {
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ()) //nolint:gosec // it is this program
	}
	log.Error("skyd could not restart itself: start it again", "error", err)
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
		Level:           api.WorkerLevel,
		Settings:        used,
		PortNote:        stack.PortNote(),
	}
}
