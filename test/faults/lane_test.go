package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/process"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/test/world"
)

// patience is how long recovery may take before the test of a fault fails.
const patience = 4 * time.Minute

// askEvery is how often a lane checks whether it is done. With many lanes, these checks are most of the servers' load.
const askEvery = 300 * time.Millisecond

// lane is where one fault is tried: a cloud, a worker in a separate process, a user's client and files, with its own
// task queue and prefix.
type lane struct {
	t       *testing.T
	cluster string
	dir     string
	cloud   *simcloud.Cloud
	killer  *killer

	etcd, temporal *devserver.Servers
	// toEtcd and toTemporal are the worker's connections to them.
	toEtcd, toTemporal *gate

	place workplace
	env   []string
	cfg   *config.Config
	store *store.Store
	ops   *client.Client
	conn  sdkclient.Client
	// sweeping is a sweep that was started and not awaited.
	sweeping sdkclient.WorkflowRun
	// before is the cluster before a person changed it; nil if nobody did.
	before *api.Cluster
	// wantsState are the objects that the cluster has to have; nil if that does not matter.
	wantsState []string
	// snapshotsBroken is set if the files of snapshots were damaged.
	snapshotsBroken bool

	mu     sync.Mutex
	worker *process.Process
	deaths int
	closed bool
	ended  sync.WaitGroup
}

// home is the optional part of a lane.
type home struct {
	// disk is the size in MiB of a disk for the data of the lane's own Temporal; 0 is none.
	disk           int
	etcd, temporal *devserver.Servers
	placements     []api.Placement
	settings       func(*world.WorkerSettings)
	// env is added to the worker's environment.
	env []string
}

var lanesMade atomic.Int64

// dear is a placement with a price: its machines have power-off timers until their cluster is READY.
func dear(region string) api.Placement {
	p := simcloud.RegionPlacement(region)
	p.PricePerMachine, p.PriceTotal = 0.1, 0.3
	return p
}

// testSized delays repairs by seconds instead of minutes.
func testSized() plan.Policy {
	p := plan.DefaultPolicy()
	p.NotReadyFor, p.AfterRestart, p.Backoff = 3*time.Second, 4*time.Second, time.Second
	p.Replacements, p.Restarts = 10, 10
	return p
}

// newLane creates a lane without a worker.
func newLane(t *testing.T, h home) *lane {
	t.Helper()
	n := lanesMade.Add(1)
	l := &lane{t: t, cluster: fmt.Sprintf("c%d", n), dir: filepath.Join(temp, fmt.Sprint(n)), etcd: h.etcd,
		temporal: h.temporal}
	if l.etcd == nil {
		l.etcd = shared
	}
	if l.temporal == nil {
		l.temporal = shared
	}
	if h.placements == nil {
		h.placements = []api.Placement{dear("here"), dear("there")}
	}
	l.check(os.MkdirAll(filepath.Join(l.dir, "home"), 0o700))
	l.own(&l.etcd, "etcd")
	if l.temporal == together {
		l.temporal = l.etcd
	}
	if h.disk > 0 {
		l.mountDisk(h.disk)
	}
	l.own(&l.temporal, "temporal")
	l.cloud = simcloud.New(h.placements...)
	t.Cleanup(l.cloud.Close)
	l.killer = &killer{kill: l.kill}
	l.toEtcd = newGate(t, strings.TrimPrefix(l.etcd.Config.Etcd.Endpoints[0], "https://"))
	l.toTemporal = newGate(t, l.temporal.Config.Temporal.Address)
	l.place = workplace{
		EtcdEnv: l.etcd.Env, TemporalEnv: l.temporal.Env, Endpoint: "https://" + l.toEtcd.address,
		Address: l.toTemporal.address,
		Prefix:  "/" + l.cluster, Socket: filepath.Join(l.dir, "socket"),
		Settings: world.WorkerSettings{
			TaskQueue: l.cluster, Home: filepath.Join(l.dir, "home"), Release: release, Policy: testSized(),
			Snapshots: filepath.Join(l.dir, "snapshots"), SnapshotQuota: 1 << 30,
			Deadlines: world.UniformDeadlines(span(2*time.Minute, 3*time.Minute)), // longer than any server is away
		},
	}
	l.env = h.env
	if h.settings != nil {
		h.settings(&l.place.Settings)
	}
	if l.place.Settings.Release == ownRelease {
		l.place.Settings.Release = filepath.Join(l.dir, "release")
		l.check(os.Mkdir(l.place.Settings.Release, 0o700))
		l.check(simcloud.WriteRelease(l.place.Settings.Release))
	}
	l.serve()
	l.connect()
	return l
}

func (l *lane) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// serve serves the cloud and the listener for the worker's activity moments.
func (l *lane) serve() {
	l.t.Helper()
	listener, err := net.Listen("unix", l.place.Socket) //nolint:noctx // at once
	l.check(err)
	mux := http.NewServeMux()
	mux.Handle("/cloud/", world.ServeCloud(l.cloud, l.killer.called))
	mux.Handle("/moment", world.ServeMoments(l.killer.reached))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	l.t.Cleanup(func() { _ = server.Close() })
}

// connect opens the user's connections, which bypass the worker's gates.
func (l *lane) connect() {
	l.t.Helper()
	own := l.place
	own.Endpoint, own.Address = l.etcd.Config.Etcd.Endpoints[0], l.temporal.Config.Temporal.Address
	etcd, _, err := own.configs()
	l.check(err)
	l.cfg = etcd
	l.store, err = devserver.OpenStore(l.t.Context(), etcd)
	l.check(err)
	l.t.Cleanup(func() { _ = l.store.Close() })
	l.conn = l.temporal.Temporal
	l.ops = l.person()
}

// person connects as skyctl does. If etcd and Temporal belong to different installations, so do their certificates.
func (l *lane) person() *client.Client {
	cfg := *l.cfg
	c := client.New(&cfg, time.Now)
	l.t.Cleanup(c.Close)
	return c
}

// work starts the worker, and restarts it whenever it ends, as systemd does with skyd.
func (l *lane) work() {
	l.t.Helper()
	turns <- struct{}{}
	defer func() { <-turns }()
	l.check(l.startWorker())
	l.t.Cleanup(func() {
		l.mu.Lock()
		l.closed = true
		_ = l.worker.Kill()
		l.mu.Unlock()
		l.ended.Wait()
		if l.t.Failed() {
			said, _ := os.ReadFile(filepath.Join(l.dir, "worker.log"))
			l.t.Logf("the worker's log:\n%s", said[max(0, len(said)-6000):])
		}
	})
	l.awaitWorker()
}

// awaitWorker waits until a worker asks Temporal for tasks.
func (l *lane) awaitWorker() {
	l.t.Helper()
	l.until("the worker listens", func() bool {
		ctx, cancel := context.WithTimeout(l.t.Context(), 10*time.Second)
		defer cancel()
		d, err := l.conn.DescribeTaskQueue(ctx, l.cluster, enums.TASK_QUEUE_TYPE_WORKFLOW)
		return err == nil && len(d.GetPollers()) > 0
	})
}

func (l *lane) startWorker() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	settings, err := json.Marshal(l.place)
	if err != nil {
		return err
	}
	env := append(append(os.Environ(), envChild+"="+string(settings)), l.env...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	w, err := process.Start(process.Options{Argv: []string{self}, Env: env,
		LogFile: filepath.Join(l.dir, "worker.log")})
	if err != nil {
		return err
	}
	l.worker = w
	ended := w.Ended()
	l.ended.Go(func() { l.watch(ended) })
	return nil
}

// watch starts another worker when one has exited.
func (l *lane) watch(ended <-chan struct{}) {
	<-ended
	l.mu.Lock()
	l.deaths++
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return
	}
	time.Sleep(100 * time.Millisecond) // as a supervisor takes some time to restart it
	if err := l.startWorker(); err != nil {
		l.t.Error(err)
	}
}

// kill kills the worker with SIGKILL.
func (l *lane) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && l.worker != nil {
		_ = l.worker.Kill()
	}
}

// stopWorker kills the worker and does not restart it.
func (l *lane) stopWorker() {
	l.mu.Lock()
	l.closed = true
	_ = l.worker.Kill()
	l.mu.Unlock()
	l.ended.Wait()
	l.mu.Lock()
	l.closed = false
	l.mu.Unlock()
}

// until polls a condition.
func (l *lane) until(what string, holds func() bool) {
	l.t.Helper()
	eventually.HoldsEvery(l.t, askEvery, patience, what, holds)
}
