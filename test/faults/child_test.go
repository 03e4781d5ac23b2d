package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/world"
	"github.com/sky-shift/skyctl/worker"
)

// envChild makes the test binary a worker; its value is a workplace.
const envChild = "SKYCTL_TEST_FAULTS_WORKER"

// workplace is everything that a worker needs to know.
type workplace struct {
	// EtcdEnv and TemporalEnv are the settings of the servers; Endpoint and Address are theirs for this worker.
	EtcdEnv, TemporalEnv map[string]string
	Endpoint, Address    string
	// Prefix is the prefix of the lane's keys in etcd.
	Prefix string
	// Socket is where the cloud and the listener for activity moments are.
	Socket   string
	Settings world.WorkerSettings
}

// configs are the settings for etcd and for Temporal.
func (p workplace) configs() (etcd, temporal *config.Config, err error) {
	if etcd, err = config.Load(nil, func(k string) string { return p.EtcdEnv[k] }); err != nil {
		return nil, nil, err
	}
	if temporal, err = config.Load(nil, func(k string) string { return p.TemporalEnv[k] }); err != nil {
		return nil, nil, err
	}
	etcd.Etcd.Prefix, etcd.Etcd.Endpoints = p.Prefix, []string{p.Endpoint}
	etcd.Temporal = temporal.Temporal
	etcd.Temporal.Address, etcd.Temporal.TaskQueue = p.Address, p.Settings.TaskQueue
	temporal.Temporal = etcd.Temporal
	return etcd, temporal, nil
}

// work runs skyd's worker until it is killed. Like skyd it exits if its servers are unreachable at the start.
func work(settings string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var p workplace
	if err := json.Unmarshal([]byte(settings), &p); err != nil {
		return fail(err)
	}
	etcd, temporal, err := p.configs()
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := devserver.OpenStore(ctx, etcd)
	if err != nil {
		return fail(err)
	}
	c, err := devserver.DialTemporal(ctx, temporal, os.Stderr)
	if err != nil {
		return fail(err)
	}
	acts := world.NewActivities(p.Settings, st, remote.NewPool(time.Minute), world.DialCloud(p.Socket), c)
	if watch := acts.Sweeps.Home; watch != nil {
		if err := watch.RecordStart(ctx); err != nil {
			return fail(err)
		}
		go watch.MarkMachines(context.Background())
	}
	worker.ReleaseInterrupted(ctx, c, temporal.Temporal.Namespace, p.Settings.TaskQueue, slog.Default())
	if err := worker.New(c, p.Settings.TaskQueue, acts, world.ReportMoments(p.Socket)).Run(nil); err != nil {
		return fail(err)
	}
	return 0
}
