package integration

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/etcdserver"
	stage "github.com/sky-shift/skyctl/test/world"
)

// countTemporalCalls counts a worker's requests. It leaves out those whose number depends on the time that a test
// takes: polls, which wait for work, and heartbeats.
func countTemporalCalls(calls *atomic.Int64) grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any,
		conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		name := method[strings.LastIndex(method, "/")+1:]
		if !strings.HasPrefix(name, "Poll") && !strings.Contains(name, "Heartbeat") {
			calls.Add(1)
		}
		return next(ctx, method, req, reply, conn, opts...)
	})
}

// slowBoot is the time that many simulated machines get on a busy computer.
const slowBoot = 15 * time.Minute

// measureCreate creates a cluster and returns what its worker and its operation cost for each machine.
func measureCreate(t *testing.T, machines int) map[string]float64 {
	t.Helper()
	cfg := *shared.Config
	cfg.Etcd.Prefix, cfg.Temporal.TaskQueue = "/"+t.Name(), t.Name()
	var calls atomic.Int64
	temporal, err := devserver.DialTemporal(t.Context(), &cfg, io.Discard, countTemporalCalls(&calls))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(temporal.Close)
	w := newConfiguredWorld(t, &devserver.Servers{Temporal: temporal}, &cfg, here)
	traffic := w.countEtcdTraffic()
	w.acts.Machines.Deadlines = stage.UniformDeadlines(slowBoot) // the simulated cloud boots one machine at a time
	w.acts.Nodes.Deadlines = w.acts.Machines.Deadlines
	w.work()
	started := time.Now()
	name := fmt.Sprintf("cost-%d", machines)
	if _, err := w.ops.AwaitReady(t.Context(), w.create(name, machines, client.CreateOptions{}), slowBoot,
		func(client.Progress) {}); err != nil {
		t.Fatalf("%d machines did not become READY: %v", machines, err)
	}
	if err := temporal.GetWorkflow(t.Context(), operation.WorkflowID(name), "").Get(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	cost := map[string]float64{"requests to Temporal": float64(calls.Load()),
		"requests to etcd": float64(traffic.Calls()), "bytes from etcd": float64(traffic.Received())}
	for _, r := range w.runsOf(name) {
		w.addHistory(cost, r)
	}
	for what := range cost {
		cost[what] /= float64(machines)
	}
	t.Logf("%d machines were READY after %s; each cost %v", machines, time.Since(started).Round(time.Second), cost)
	return cost
}

// countEtcdTraffic gives the activities a store whose traffic is counted.
func (w *world) countEtcdTraffic() *etcdserver.Traffic {
	w.t.Helper()
	key, err := secretbox.LoadOrCreateKey(w.cfg.SecretsKeyFile)
	if err != nil {
		w.t.Fatal(err)
	}
	traffic := &etcdserver.Traffic{}
	counted := store.New(devserver.DialEtcd(w.t, w.cfg, traffic.DialOptions()...), w.cfg.Etcd.Prefix, key)
	w.acts.Clusters.Store, w.acts.Machines.Store = counted, counted
	w.acts.Nodes.Store, w.acts.Sweeps.Store = counted, counted
	return traffic
}

// addHistory adds the history of a run and of all its children.
func (w *world) addHistory(cost map[string]float64, r run) {
	cost["events"] += float64(len(r.history.GetEvents()))
	cost["bytes of history"] += float64(proto.Size(r.history))
	for _, e := range r.history.GetEvents() {
		if child := e.GetChildWorkflowExecutionStartedEventAttributes().GetWorkflowExecution(); child != nil {
			w.addHistory(cost, w.runOf(child.GetWorkflowId(), child.GetRunId()))
		}
	}
}

// growthLimit bounds what a machine of the large cluster costs, compared with one of the small cluster. Retries and
// progress of slow steps vary by some ten per cent. A step that read all machines would cost several times as much.
const growthLimit = 1.5

func TestCostOfAMachineDoesNotGrowWithItsCluster(t *testing.T) {
	// It does not run beside other tests: they would take the processor from each other.
	const few, many = 30, 300
	var small, large map[string]float64
	t.Run("few", func(t *testing.T) { small = measureCreate(t, few) })
	t.Run("many", func(t *testing.T) { large = measureCreate(t, many) })
	for what, before := range small {
		if after := large[what]; before == 0 || after == 0 || after > growthLimit*before {
			t.Errorf("%s of each machine: %.1f in a cluster of %d, %.1f in one of %d; want at most %.1f times as much",
				what, before, few, after, many, growthLimit)
		}
	}
}
