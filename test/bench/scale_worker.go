package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/test/world"
	"github.com/sky-shift/skyctl/worker"
)

// envWorker makes the benchmark a stand-in for skyd, whose cloud another process plays; its value is a workerSetup.
const envWorker = "SKYCTL_BENCH_WORKER"

// workerSetup is what a stand-in for skyd needs to know.
type workerSetup struct {
	// Dir is its directory, and Socket that of the cloud.
	Dir, Socket string
	// Profile is a file for a CPU profile; empty for none.
	Profile string
}

// runWorker runs the servers of skyd dev and its worker in this process, as skyd does, until stdin ends. It writes the
// settings for clients to stdout.
func runWorker(setup string) error {
	var s workerSetup
	if err := json.Unmarshal([]byte(setup), &s); err != nil {
		return err
	}
	stopProfile, err := startProfile(s.Profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	release := filepath.Join(s.Dir, "release")
	if err := errors.Join(os.MkdirAll(release, 0o700), simcloud.WriteRelease(release)); err != nil {
		return err
	}
	servers, err := devserver.StartServers(ctx, filepath.Join(s.Dir, "state"), os.Stderr)
	if err != nil {
		return err
	}
	defer servers.Close()
	st, err := devserver.OpenStore(ctx, servers.Config)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	temporal, err := connect.DialTemporal(ctx, servers.Config, "worker", slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer temporal.Close()
	pool := remote.NewPool(5 * time.Minute)
	defer pool.Close()
	queue := servers.Config.Temporal.TaskQueue
	w := worker.New(temporal, queue, world.NewActivities(world.WorkerSettings{
		TaskQueue: queue, Home: filepath.Join(s.Dir, "home"), Release: release, Policy: plan.DefaultPolicy(),
		Deadlines: activities.DefaultDeadlines(),
	}, st, pool, world.DialCloud(s.Socket), temporal))
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	if err := json.NewEncoder(os.Stdout).Encode(servers.Env); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func startProfile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("write the CPU profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, pprof.StartCPUProfile(f)
}
