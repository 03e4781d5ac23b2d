// Package skydstub replaces skyd in tests: a real Temporal and etcd in this process, and a worker whose operations
// write to etcd what a test wants, without a cloud. Only tests import it.
package skydstub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/fixture"
)

// World is a running stub.
type World struct {
	// Config connects to it as to skyd dev, External as to the servers of a team.
	Config   *config.Config
	External map[string]string // environment
	Store    *store.Store
	Temporal client.Client

	servers *devserver.Servers

	mu    sync.Mutex
	plays map[string]Behavior
}

// Behavior is what the operations on one cluster do. A nil part succeeds.
type Behavior struct {
	// Plan is for specs whose region is the behavior's name.
	Plan func(api.GroupSpec) (operation.PlanResult, error)
	// Provision and Delete run as activities; ctx ends when the workflow is cancelled.
	Provision func(ctx context.Context, w *World, in operation.ProvisionInput) error
	Delete    func(ctx context.Context, w *World, in operation.DeleteInput) error
	// Check and Orphans are taken from the behavior without a name, and Sweep from that of the swept cluster or the one
	// without a name.
	Check   func() (operation.CheckResult, error)
	Sweep   func(ctx context.Context, w *World, in operation.SweepInput) (operation.SweepResult, error)
	Orphans func(ctx context.Context, w *World, in operation.OrphansInput) (operation.OrphansResult, error)
	// Adopt is taken from the behavior without a name.
	Adopt func(in operation.AdoptInput) operation.AdoptResult
	// Repair runs as an activity; if it is nil, the cluster becomes READY and in sync.
	Repair func(ctx context.Context, w *World, in operation.RepairInput) error
	// Converge runs as an activity; if it is nil, the cluster reaches its spec.
	Converge func(ctx context.Context, w *World, in operation.ConvergeInput) error
	// KeepSnapshots, Restore and Stop run as activities; if they are nil, they succeed.
	KeepSnapshots func(ctx context.Context, w *World, in operation.KeepSnapshotsInput) error
	Restore       func(ctx context.Context, w *World, in operation.RestoreInput) error
	Stop          func(ctx context.Context, w *World, in operation.StopInput) error
	// VerifySnapshot verifies one snapshot of the cluster; if it is nil, the snapshot is proven.
	VerifySnapshot func(ctx context.Context, w *World, s api.Snapshot) error
	// ListLocalData is what is only on the machines' disks; if it is nil, nothing is.
	ListLocalData func() (operation.LocalDataResult, error)
	// CheckMachines is what is found wrong with the machines; if it is nil, there are none.
	CheckMachines func() (operation.CheckMachinesResult, error)
	// SnapshotProblem is what is wrong with the files of the cluster's snapshots.
	SnapshotProblem string
}

// Start starts a world in a state directory. The caller closes it.
func Start(ctx context.Context, dir string) (*World, error) {
	servers, err := devserver.StartServers(ctx, dir, io.Discard)
	if err != nil {
		return nil, err
	}
	cfg := servers.Config
	w := &World{Config: cfg, Temporal: servers.Temporal, servers: servers, plays: map[string]Behavior{}}
	if w.Store, err = devserver.OpenStore(ctx, cfg); err != nil {
		servers.Close()
		return nil, err
	}
	w.External = map[string]string{
		"SKYCTL_ETCD_ENDPOINTS": cfg.Etcd.Endpoints[0], "SKYCTL_TEMPORAL_ADDRESS": cfg.Temporal.Address,
		"SKYCTL_ETCD_TLS_CA": cfg.Etcd.TLS.CA, "SKYCTL_ETCD_TLS_CERT": cfg.Etcd.TLS.Cert,
		"SKYCTL_ETCD_TLS_KEY":    cfg.Etcd.TLS.Key,
		"SKYCTL_TEMPORAL_TLS_CA": cfg.Temporal.TLS.CA, "SKYCTL_TEMPORAL_TLS_CERT": cfg.Temporal.TLS.Cert,
		"SKYCTL_TEMPORAL_TLS_KEY": cfg.Temporal.TLS.Key, "SKYCTL_UI_ADDRESS": cfg.UI.Address,
	}
	return w, nil
}

// Close stops the world.
func (w *World) Close() error {
	defer w.servers.Close()
	return w.Store.Close()
}

// RunTests runs a package's tests with one world for all of them, and returns the exit code.
func RunTests(m *testing.M, w **World) int {
	dir, err := os.MkdirTemp("", "skydstub-*")
	if err == nil {
		defer os.RemoveAll(dir)
		*w, err = Start(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer (*w).Close()
	return m.Run()
}

// StartWorker starts a worker, which is stopped with the test; then the world is cleared for the next one.
func (w *World) StartWorker(t testing.TB) { w.StartWorkerOn(t, w.Config.Temporal.TaskQueue) }

// StartWorkerOn is StartWorker on another task queue.
func (w *World) StartWorkerOn(t testing.TB, queue string) {
	t.Helper()
	began, wk := time.Now(), w.newWorker(queue)
	if err := wk.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		wk.Stop()
		w.ClearState(t)
	})
	if err := w.awaitPoll(t.Context(), queue, began); err != nil {
		t.Fatal(err)
	}
}

// RunWorker starts a worker in a process of its own, until stop is called.
func (w *World) RunWorker(ctx context.Context) (stop func(), err error) {
	began, wk := time.Now(), w.newWorker(w.Config.Temporal.TaskQueue)
	if err := wk.Start(); err != nil {
		return nil, err
	}
	return wk.Stop, w.awaitPoll(ctx, w.Config.Temporal.TaskQueue, began)
}

// awaitPoll returns once a worker that started at a time polls a task queue: before that, skyctl says that there is
// none.
func (w *World) awaitPoll(ctx context.Context, queue string, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return await.Condition(ctx, 10*time.Millisecond, func() (bool, error) {
		d, err := w.Temporal.DescribeTaskQueue(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW)
		return slices.ContainsFunc(d.GetPollers(), func(p *taskqueue.PollerInfo) bool {
			return !p.GetLastAccessTime().AsTime().Before(began)
		}), err
	})
}

// patience is longer than anything takes on a busy computer, unless it is stuck.
const patience = 2 * time.Minute

func (w *World) newWorker(queue string) worker.Worker {
	wk := worker.New(w.Temporal, queue, worker.Options{MaxHeartbeatThrottleInterval: heartbeatThrottle})
	wk.RegisterWorkflowWithOptions(w.runProvision, workflow.RegisterOptions{Name: operation.WorkflowProvision})
	wk.RegisterWorkflowWithOptions(w.runDelete, workflow.RegisterOptions{Name: operation.WorkflowDelete})
	wk.RegisterWorkflowWithOptions(w.runPlan, workflow.RegisterOptions{Name: operation.WorkflowPlan})
	wk.RegisterWorkflowWithOptions(w.runCheck, workflow.RegisterOptions{Name: operation.WorkflowCheck})
	w.registerSweeps(wk)
	w.registerConverge(wk)
	w.registerSnapshots(wk)
	wk.RegisterActivityWithOptions(w.playCheck, activity.RegisterOptions{Name: "playCheck"})
	wk.RegisterActivityWithOptions(w.playProvision, activity.RegisterOptions{Name: "playProvision"})
	wk.RegisterActivityWithOptions(w.playDelete, activity.RegisterOptions{Name: "playDelete"})
	wk.RegisterActivityWithOptions(w.playPlan, activity.RegisterOptions{Name: "playPlan"})
	wk.RegisterActivityWithOptions(w.isDeleting, activity.RegisterOptions{Name: "deleting"})
	return wk
}

// ClearState terminates all operations and deletes all clusters and behaviors.
func (w *World) ClearState(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended
	defer cancel()
	w.mu.Lock()
	clear(w.plays)
	w.mu.Unlock()
	clusters, err := w.Store.ListClusters(ctx)
	if err != nil {
		t.Error(err)
	}
	snapshots, err := w.Store.ListSnapshots(ctx, "")
	if err != nil {
		t.Error(err)
	}
	for _, s := range snapshots {
		_ = w.Temporal.TerminateWorkflow(ctx, operation.KeepSnapshotsID(s.Cluster), "", "the test is over") // as below
		if err := w.Store.ForgetSnapshot(ctx, s.Ref(), s.Name); err != nil {
			t.Error(err)
		}
	}
	for i := range clusters {
		ref := clusters[i].Ref()
		_ = w.Temporal.TerminateWorkflow(ctx, operation.WorkflowID(ref.Name), "", "the test is over") // most have ended
		if err := w.Store.DeleteCluster(ctx, ref); err != nil {
			t.Error(err)
		}
	}
}

// SetBehavior sets what the operations on a cluster do from now on.
func (w *World) SetBehavior(cluster string, p Behavior) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plays[cluster] = p
}

func (w *World) behaviorOf(cluster string) Behavior {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plays[cluster]
}

// Heartbeats are sent far more often than they have to be: a busy computer can be seconds late, and an activity is
// tried once. The timeout is not longer, because it ends what a worker that was stopped has left for the next test.
const (
	heartbeatTimeout  = 15 * time.Second
	heartbeatThrottle = 500 * time.Millisecond
)

func withActivityOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute, HeartbeatTimeout: heartbeatTimeout, WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// runProvision continues as a delete if a delete cancels it, like the real one.
func (w *World) runProvision(ctx workflow.Context, in operation.ProvisionInput) error {
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playProvision", in).Get(ctx, nil)
	if err == nil {
		return nil
	}
	clean, _ := workflow.NewDisconnectedContext(ctx)
	var deleting bool
	if err := workflow.ExecuteActivity(withActivityOptions(clean), "deleting", in.Cluster).Get(clean,
		&deleting); err != nil {
		return err
	}
	if deleting {
		return workflow.NewContinueAsNewError(clean, operation.WorkflowDelete,
			operation.DeleteInput{Cluster: in.Cluster})
	}
	return err
}

func (w *World) runDelete(ctx workflow.Context, in operation.DeleteInput) error {
	return workflow.ExecuteActivity(withActivityOptions(ctx), "playDelete", in).Get(ctx, nil)
}

func (w *World) runPlan(ctx workflow.Context, in operation.PlanInput) (operation.PlanResult, error) {
	var r operation.PlanResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playPlan", in).Get(ctx, &r)
	return r, err
}

func (w *World) runCheck(ctx workflow.Context, in operation.CheckInput) (operation.CheckResult, error) {
	var r operation.CheckResult
	err := workflow.ExecuteActivity(withActivityOptions(ctx), "playCheck", in).Get(ctx, &r)
	return r, err
}

func (w *World) playCheck(_ context.Context, in operation.CheckInput) (operation.CheckResult, error) {
	if p := w.behaviorOf("").Check; p != nil {
		return p()
	}
	return operation.CheckResult{
		Worker: api.CheckFinding{Name: "worker", Version: "test"},
		Providers: []api.CheckFinding{{Name: "Docker", Version: "20.10.24",
			Details: []string{"asked for: " + in.Cloud}}},
		Clouds: []api.CloudStatus{{Name: "docker", Enabled: true}},
	}, nil
}

func (w *World) isDeleting(ctx context.Context, ref api.Ref) (bool, error) {
	c, err := w.Store.ReadCluster(ctx, ref.Name)
	return err == nil && c.Status.Phase == api.PhaseDeleting, err
}

func (w *World) playPlan(_ context.Context, in operation.PlanInput) (operation.PlanResult, error) {
	if p := w.behaviorOf(in.Spec.Region).Plan; p != nil {
		result, err := p(in.Spec)
		if result.Worker == nil {
			result.Worker = &operation.WorkerInfo{Level: api.WorkerLevel}
		}
		return result, err
	}
	return operation.PlanResult{Placements: []api.Placement{DefaultPlacement},
		Worker: &operation.WorkerInfo{Level: api.WorkerLevel}}, nil
}

func (w *World) playProvision(ctx context.Context, in operation.ProvisionInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).Provision; p != nil {
		return p(ctx, w, in)
	}
	return w.SucceedCreate(ctx, in.Cluster)
}

func (w *World) playDelete(ctx context.Context, in operation.DeleteInput) error {
	ctx, stop := startHeartbeat(ctx)
	defer stop()
	if p := w.behaviorOf(in.Cluster.Name).Delete; p != nil {
		return p(ctx, w, in)
	}
	return w.Store.DeleteCluster(ctx, in.Cluster)
}

// startHeartbeat sends heartbeats, so that an activity learns of its cancellation.
func startHeartbeat(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				activity.RecordHeartbeat(ctx)
			}
		}
	}()
	return ctx, stop
}

// DefaultPlacement is the placement of all machines.
var DefaultPlacement = api.Placement{Cloud: "docker", Region: "local", CPUs: 2, MemoryGiB: 4}

// MoveCluster moves a cluster to a phase, and its machines to a state.
func (w *World) MoveCluster(ctx context.Context, ref api.Ref, phase api.Phase, state api.MachineState,
	step string) error {
	now := time.Now().UTC()
	c, err := w.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseDeleting && phase != api.PhaseDeleting {
			return fmt.Errorf("cluster %s is to be deleted", ref.Name)
		}
		c.Status.SetPhase(phase, "", now)
		c.Status.Placement = &DefaultPlacement
		return nil
	})
	if err != nil {
		return err
	}
	var machines []api.Machine
	for n := range c.Spec.MachineCount() {
		m := api.Machine{
			Index: n, Name: api.MachineName(ref.Name, n), Incarnation: "x7k2p", NodeName: api.MachineName(ref.Name, n) +
				"-x7k2p",
			Role: fixture.RoleAt(n), Placement: DefaultPlacement, Address: fmt.Sprintf("172.30.0.%d", n+2),
		}
		m.SetState(state, step, now)
		machines = append(machines, m)
	}
	return w.Store.PutMachines(ctx, ref, machines)
}

// NewKubeconfig is the kubeconfig of a cluster.
func NewKubeconfig(name string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- {name: %[1]s, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: Q0E=}}
users:
- {name: %[1]s, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
contexts:
- {name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}
current-context: %[1]s
`, name)
}

// SucceedCreate goes through a create that succeeds.
func (w *World) SucceedCreate(ctx context.Context, ref api.Ref) error {
	for _, s := range []struct {
		phase api.Phase
		state api.MachineState
		step  string
	}{
		{api.PhaseProvisioning, api.MachineLaunching, "launch"},
		{api.PhaseProvisioning, api.MachineUp, "prepare"},
		{api.PhaseProvisioning, api.MachineReady, ""},
	} {
		if err := w.MoveCluster(ctx, ref, s.phase, s.state, s.step); err != nil {
			return err
		}
	}
	if err := w.Store.PutSecret(ctx, ref, store.SecretKubeconfig, NewKubeconfig(ref.Name)); err != nil {
		return err
	}
	_, err := w.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseReady, "", time.Now().UTC())
		c.Status.ObservedGeneration = c.Metadata.Generation
		c.Status.Versions = api.Versions{RKE2: "v1.35.7+rke2r1"}
		c.Status.Resources = api.Resources{CPUs: api.Amount{Available: 2.01, Total: 4},
			Memory: api.Amount{Available: 12.67, Total: 15.63}}
		return nil
	})
	return err
}

// FailCreate makes a create end in ERROR.
func (w *World) FailCreate(ctx context.Context, ref api.Ref, f api.Failure) error {
	_, err := w.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseError, f.Reason, time.Now().UTC())
		c.Status.Failure = &f
		return nil
	})
	return errors.Join(err, temporal.NewNonRetryableApplicationError(f.Message, f.Reason, nil))
}
