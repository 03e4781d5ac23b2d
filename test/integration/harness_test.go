package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	sdkclient "go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/simcloud"
	stage "github.com/sky-shift/skyctl/test/world"
	"github.com/sky-shift/skyctl/worker"
)

var (
	// shared is the servers that all tests use, each with its own cluster names; release is the RKE2 release that
	// machines install.
	shared  *devserver.Servers
	release string
)

// logged is the log of all workers.
var logged logbook

type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestMain(m *testing.M) {
	if queue := os.Getenv(envHelper); queue != "" {
		os.Exit(helper(queue))
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait more than they work
	os.Exit(withServers(m))
}

func withServers(m *testing.M) int {
	dir, err := os.MkdirTemp("", "integration")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	release = filepath.Join(dir, "release")
	if err := errors.Join(os.Mkdir(release, 0o700), simcloud.WriteRelease(release)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if shared, err = devserver.StartServers(context.Background(), filepath.Join(dir, "state"), &logged); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer shared.Close()
	end, err := watchClusterNames(shared.Config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// world is one test's part of the servers, with its own cloud, worker and task queue.
type world struct {
	temporal sdkclient.Client
	// cfg and store use the servers with the test's own prefix, so that no test sees the clusters of another.
	cfg   *config.Config
	store *store.Store
	t     *testing.T
	queue string
	cloud *simcloud.Cloud
	acts  worker.Activities
	ops   *client.Client
	home  string

	running sdkworker.Worker
	sweeps  int
}

var here, there = simcloud.RegionPlacement("here"), simcloud.RegionPlacement("there")

// newWorld creates a world on the shared servers, with a worker.
func newWorld(t *testing.T, placements ...api.Placement) *world {
	t.Helper()
	t.Parallel()
	w := newIdleWorld(t, shared, placements...)
	w.work()
	return w
}

// newIdleWorld creates a world without a worker.
func newIdleWorld(t *testing.T, s *devserver.Servers, placements ...api.Placement) *world {
	t.Helper()
	mine := *s.Config
	mine.Etcd.Prefix, mine.Temporal.TaskQueue = "/"+t.Name(), t.Name()
	return newConfiguredWorld(t, s, &mine, placements...)
}

// newConfiguredWorld creates a world without a worker, with the prefix and the task queue of the settings.
func newConfiguredWorld(t *testing.T, s *devserver.Servers, cfg *config.Config, placements ...api.Placement) *world {
	t.Helper()
	if len(placements) == 0 {
		placements = []api.Placement{here, there}
	}
	w := &world{temporal: s.Temporal, cfg: cfg, t: t, queue: cfg.Temporal.TaskQueue,
		cloud: simcloud.New(placements...), home: t.TempDir()}
	t.Cleanup(w.cloud.Close)
	var err error
	if w.store, err = devserver.OpenStore(t.Context(), w.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	pool := remote.NewPool(time.Minute)
	t.Cleanup(pool.Close)
	w.acts = stage.NewActivities(stage.WorkerSettings{
		TaskQueue: w.queue, Home: w.home, Release: release, Deadlines: stage.UniformDeadlines(patience),
		Policy: plan.DefaultPolicy(), Snapshots: filepath.Join(w.home, "snapshots"), SnapshotQuota: 1 << 30,
	}, w.store, pool, w.cloud, w.temporal)
	w.ops = w.client()
	return w
}

// client returns the client that skyctl uses.
func (w *world) client() *client.Client {
	cfg := *w.cfg
	cfg.Temporal.TaskQueue = w.queue
	c := client.New(&cfg, time.Now)
	w.t.Cleanup(c.Close)
	return c
}

// work starts a worker, which stops with the test.
func (w *world) work() {
	w.t.Helper()
	w.running = worker.New(w.temporal, w.queue, w.acts)
	if err := w.running.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(sync.OnceFunc(w.running.Stop))
}

// spec is a cluster of n machines.
func spec(n int) api.GroupSpec {
	return api.GroupSpec{Manager: "k8", Cloud: simcloud.Name, CPUs: "2+", NumNodes: n, Provision: true}
}

// create starts a create as skyctl does.
func (w *world) create(name string, n int, o client.CreateOptions) api.Ref {
	w.t.Helper()
	created, err := w.ops.CreateCluster(w.t.Context(), api.NewCluster(name, "", spec(n), nil, time.Now()), o)
	if err != nil {
		w.t.Fatalf("create %s: %v", name, err)
	}
	return api.Ref{Name: name, UID: created.Cluster.Metadata.UID}
}

// store1 writes a cluster to etcd without starting an operation.
func (w *world) store1(name string, n int) api.Ref {
	w.t.Helper()
	uid := "uid-" + name
	if _, err := w.store.CreateCluster(w.t.Context(),
		api.NewCluster(name, uid, spec(n), nil, time.Now().UTC())); err != nil {
		w.t.Fatal(err)
	}
	return api.Ref{Name: name, UID: uid}
}

// delete starts a delete as skyctl does.
func (w *world) delete(ref api.Ref, purge bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.ops.DeleteCluster(ctx, ref, purge, func(string) {}); err != nil {
		w.t.Fatalf("delete %s: %v", ref.Name, err)
	}
}

// patience is the limit for what takes a few seconds on an idle machine. An operation that finds a cluster in a bad
// moment looks at it again a minute later, which may happen more than once on a busy computer.
const patience = 4 * time.Minute

func (w *world) awaitReady(ref api.Ref) *api.Cluster {
	w.t.Helper()
	c, err := w.ops.AwaitReady(w.t.Context(), ref, patience, func(client.Progress) {})
	if err != nil {
		w.t.Fatalf("%s did not become READY: %v", ref.Name, err)
	}
	w.awaitCreateClosed(ref)
	return c
}

// awaitCreateClosed waits until the create of a READY cluster has ended in Temporal, too. Before that a sweep starts
// nothing, and a copy of the state contains a create that runs.
func (w *world) awaitCreateClosed(ref api.Ref) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	id := operation.WorkflowID(ref.Name)
	d, err := w.temporal.DescribeWorkflowExecution(ctx, id, "")
	info := d.GetWorkflowExecutionInfo()
	if gone := new(serviceerror.NotFound); errors.As(err, &gone) ||
		info.GetType().GetName() != operation.WorkflowProvision {
		return
	}
	// Not those that it continues as: they may run for as long as the test wants.
	_ = w.temporal.GetWorkflow(ctx, id, info.GetExecution().GetRunId()).
		GetWithOptions(ctx, nil, sdkclient.WorkflowRunGetOptions{DisableFollowingRuns: true})
	if ctx.Err() != nil {
		w.t.Fatalf("the create of %s is READY and did not end within %s", ref.Name, patience)
	}
}

// awaitFailed waits until a create has ended in ERROR and its operation has closed.
func (w *world) awaitFailed(ref api.Ref) *api.Cluster {
	w.t.Helper()
	_, err := w.ops.AwaitReady(w.t.Context(), ref, patience, func(client.Progress) {})
	var failed *client.OperationFailedError
	if !errors.As(err, &failed) {
		w.t.Fatalf("%s: got %v, want a failure", ref.Name, err)
	}
	_ = w.temporal.GetWorkflow(w.t.Context(), operation.WorkflowID(ref.Name), "").Get(w.t.Context(), nil)
	return w.get(ref)
}

func (w *world) awaitGone(ref api.Ref) {
	w.t.Helper()
	if err := w.ops.AwaitGone(w.t.Context(), ref, patience, func(client.Progress) {}); err != nil {
		w.t.Fatalf("%s still exists: %v", ref.Name, err)
	}
}

func (w *world) get(ref api.Ref) *api.Cluster {
	w.t.Helper()
	c, err := w.store.ReadCluster(w.t.Context(), ref.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}
