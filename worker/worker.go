// Package worker runs operations: it connects the activities to etcd, clouds and machines, and registers activities and
// workflows with Temporal.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/gpustack"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/version"
	"github.com/sky-shift/skyctl/workflows"
)

// stopTimeout is how long activities may run on when the worker stops. The next worker retries those that did not
// finish.
const stopTimeout = 20 * time.Second

// Run runs the worker until ctx ends. It returns an error if etcd or Temporal cannot be reached at the start, or if the
// worker fails.
func Run(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	st, err := connect.OpenWorkerStore(ctx, cfg, utcNow())
	if err != nil {
		return err
	}
	home, _ := os.UserHomeDir() // without one, there are no credentials in it
	connect.LearnSecrets(cfg, os.Environ(), home)
	defer st.Close()
	if _, err := st.EnsureInstallationID(ctx); err != nil {
		return fmt.Errorf("read the installation id from etcd: %w", err)
	}
	c, err := dialTemporal(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer c.Close()
	pool := remote.NewPool(idleConnectionTimeout)
	pool.SetRoutes(connect.NewSSHRoutes(cfg, st))
	defer pool.Close()
	defer keepTunnels(ctx, cfg, st, pool, log)()
	stopGateway, err := serveGateway(cfg, st, pool, log)
	if err != nil {
		return err
	}
	defer stopGateway()
	acts, err := newActivities(cfg, st, pool, log)
	if err != nil {
		return err
	}
	acts.Sweeps.Start = NewOperationStarter(c, cfg.Temporal.TaskQueue)
	watch, err := newHomeWatch(cfg, st, pool, log)
	if err != nil {
		return err
	}
	if err := watch.RecordStart(ctx); err != nil {
		return fmt.Errorf("check that this state is the installation's home: %w", err)
	}
	acts.Sweeps.Home, acts.Nodes.Home, acts.Snapshots.Home = watch, watch, watch
	acts.Snapshots.Start = NewSnapshotStarter(c, cfg.Temporal.TaskQueue)
	acts.Snapshots.StartChecks = NewCheckStarter(c, cfg.Temporal.TaskQueue)
	go watch.MarkMachines(ctx)
	// Otherwise the SDK reads and hashes the whole program file.
	sdkworker.SetBinaryChecksum(version.ReadBuild().String())
	go ensureScheduleWithRetry(ctx, c, cfg.Temporal.TaskQueue, cfg.Reconcile.Interval, log)
	go keepForgettingChecks(ctx, c, cfg.Temporal.Namespace, log)
	w := New(c, cfg.Temporal.TaskQueue, acts)
	if !cfg.IsExternal() { // then this is the only worker
		ReleaseInterrupted(ctx, c, cfg.Temporal.Namespace, cfg.Temporal.TaskQueue, log)
	}
	if err := w.Start(); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	log.Info("worker started", "task_queue", cfg.Temporal.TaskQueue, "namespace", cfg.Temporal.Namespace)
	return runUntilDone(ctx, w)
}

// PrepareSecretsKey checks that the secrets key exists and opens the stored secrets, or creates it if there are none.
func PrepareSecretsKey(ctx context.Context, cfg *config.Config) error {
	st, err := connect.OpenWorkerStore(ctx, cfg, utcNow())
	if err != nil {
		return err
	}
	return st.Close()
}

// runner is the part of a worker that runs until it is interrupted or fails.
type runner interface {
	Run(interrupt <-chan any) error
}

// runUntilDone runs the worker until ctx ends. A worker that Temporal rejects permanently, for example because its
// namespace was deleted, stops by itself; the error ends the process, so that its supervisor notices.
func runUntilDone(ctx context.Context, w runner) error {
	interrupt := make(chan any)
	stop := context.AfterFunc(ctx, func() { close(interrupt) })
	defer stop()
	if err := w.Run(interrupt); err != nil {
		return fmt.Errorf("the worker stopped with a permanent error: %w", err)
	}
	return nil
}

// Activities are the side effects that a worker offers.
type Activities struct {
	Clusters  *record.Activities
	Machines  *machines.Activities
	Nodes     *nodes.Activities
	Sweeps    *observe.Activities
	GPUs      *gpustack.Activities
	Snapshots *snapshots.Activities
	// SnapshotChecks verify snapshots.
	SnapshotChecks *snapshots.Verifier
}

// NewOperationStarter returns a function with which sweeps start operations; it returns false if one is running
// already.
func NewOperationStarter(c client.Client, taskQueue string) func(context.Context, api.Ref, string, any) (bool, error) {
	return func(ctx context.Context, ref api.Ref, workflow string, input any) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		err := start.Operation(ctx, c, taskQueue, ref.Name, workflow, workflow+" "+ref.Name+
			", requested by a sweep", input)
		if start.IsAlreadyRunning(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("start the %s of cluster %s: %w", workflow, ref.Name, err)
		}
		return true, nil
	}
}

// New returns a worker for the activities; call its Start or Run. Further interceptors run inside its own.
func New(c client.Client, taskQueue string, acts Activities, more ...interceptor.WorkerInterceptor) sdkworker.Worker {
	if acts.Sweeps.Home != nil {
		more = append(more, acts.Sweeps.Home.NewMachineGuard())
	}
	w := sdkworker.New(c, taskQueue, sdkworker.Options{
		WorkerStopTimeout:                stopTimeout,
		MaxHeartbeatThrottleInterval:     heartbeatSendInterval,
		DefaultHeartbeatThrottleInterval: heartbeatSendInterval,
		Interceptors:                     append([]interceptor.WorkerInterceptor{&heartbeatInterceptor{}}, more...),
	})
	w.RegisterWorkflow(workflows.Provision) // one by one, because workflowcheck does not see them through workflows.All
	w.RegisterWorkflow(workflows.Delete)
	w.RegisterWorkflow(workflows.Repair)
	w.RegisterWorkflow(workflows.Converge)
	w.RegisterWorkflow(workflows.BringUp)
	w.RegisterWorkflow(workflows.Restore)
	w.RegisterWorkflow(workflows.Stop)
	w.RegisterWorkflow(workflows.Sweep)
	w.RegisterWorkflow(workflows.Orphans)
	w.RegisterWorkflow(workflows.Plan)
	w.RegisterWorkflow(workflows.Check)
	w.RegisterWorkflow(workflows.Adopt)
	w.RegisterWorkflow(workflows.ListLocalData)
	w.RegisterWorkflow(workflows.CheckMachines)
	w.RegisterWorkflow(workflows.CheckSnapshot)
	w.RegisterWorkflow(workflows.KeepSnapshots)
	w.RegisterWorkflow(workflows.ScheduleSnapshots)
	w.RegisterWorkflow(workflows.VerifySnapshots)
	w.RegisterActivity(acts.Clusters)
	w.RegisterActivity(acts.Machines)
	w.RegisterActivity(acts.Nodes)
	w.RegisterActivity(acts.Sweeps)
	w.RegisterActivity(acts.GPUs)
	w.RegisterActivity(acts.Snapshots)
	w.RegisterActivity(acts.SnapshotChecks)
	return w
}

func newActivities(cfg *config.Config, st *store.Store, pool *remote.Pool, log *slog.Logger) (Activities, error) {
	clouds, err := newClouds(cfg, st, log)
	if err != nil {
		return Activities{}, err
	}
	policy := plan.DefaultPolicy()
	policy.NotReadyFor, policy.AfterRestart = cfg.Reconcile.NotReadyFor, cfg.Reconcile.NotReadyFor
	stack, err := newGPUStackSource(cfg.GPU)
	if err != nil {
		return Activities{}, err
	}
	deadlines := activities.DefaultDeadlines()
	deadlines.GPU = cfg.GPU.Timeout
	deadlines.Recover = cfg.Reconcile.NotReadyFor
	release := rke2.Source{Version: cfg.RKE2.Version, Source: cfg.RKE2.Source, SHA256: cfg.RKE2.SHA256}
	files := newSnapshotFiles(cfg, st)
	// Only skyd dev runs as the owner of the clusters and writes into the owner's home.
	var clusterDir func(string) string
	if !cfg.IsExternal() {
		clusterDir = cfg.ClusterDir
	}
	return Activities{
		Clusters: &record.Activities{
			Store: st, Pool: pool, ClusterDir: clusterDir, Now: utcNow, RKE2: release, AddOnsTimeout: deadlines.AddOns,
		},
		Machines: &machines.Activities{
			Store: st, Clouds: clouds, Pool: pool, Deadlines: deadlines, Now: utcNow, RKE2: release,
			Settings: cfg.UsedSettings(),
		},
		Nodes: &nodes.Activities{
			Store: st, Pool: pool, Clouds: clouds, ClusterDir: clusterDir, Deadlines: deadlines, Now: utcNow,
			RenewWithin: policy.ExpiresWithin, Snapshots: files,
		},
		Sweeps: &observe.Activities{
			Store: st, Clouds: clouds, Pool: pool, ClusterDir: clusterDir, Deadlines: deadlines, Now: utcNow,
			Policy: policy, OrphanGrace: cfg.Reconcile.OrphanGrace, Interval: cfg.Reconcile.Interval, GPUStack: stack,
		},
		GPUs: &gpustack.Activities{
			Store: st, Pool: pool, Deadlines: deadlines, Now: utcNow, Stack: stack, TestImage: cfg.GPU.TestImage,
		},
		Snapshots: &snapshots.Activities{Store: st, Pool: pool, Now: utcNow, Files: files},
		SnapshotChecks: &snapshots.Verifier{
			Store: st, Files: files, Clouds: clouds, Deadlines: deadlines, Now: utcNow, RKE2: release,
		},
	}, nil
}

func newSnapshotFiles(cfg *config.Config, st *store.Store) *activities.SnapshotFiles {
	return &activities.SnapshotFiles{Store: st, Dir: cfg.Snapshots.Dir,
		QuotaBytes: uint64(cfg.Snapshots.QuotaGiB) << 30} //nolint:gosec // a positive number
}

// newGPUStackSource returns a function that builds a kind of GPU stack from the settings.
func newGPUStackSource(cfg config.GPU) (func(kind string) chart.Stack, error) {
	operatorValues, err := chart.ReadValues(cfg.ValuesFile)
	if err != nil {
		return nil, err
	}
	pluginValues, err := chart.ReadValues(cfg.PluginValuesFile)
	if err != nil {
		return nil, err
	}
	return func(kind string) chart.Stack {
		s := chart.Stack{
			Kind: kind, Repo: cfg.ChartRepo, OperatorVersion: cfg.OperatorVersion, PluginVersion: cfg.PluginVersion,
			Values: operatorValues, Mirror: cfg.ImageMirror,
		}
		if kind == api.GPUStackDevicePlugin {
			s.Values = pluginValues
		}
		return s
	}, nil
}

// newClouds returns Docker on this computer, and SkyPilot for all other clouds.
func newClouds(cfg *config.Config, st *store.Store, log *slog.Logger) (activities.Clouds, error) {
	dockerCloud, err := docker.New(docker.Options{
		Image: cfg.Docker.Image, Network: cfg.Docker.Network, BaseImage: cfg.Docker.BaseImage,
		Installation: st.EnsureInstallationID, Log: log,
	})
	if err != nil {
		return activities.Clouds{}, err
	}
	token := ""
	if cfg.SkyPilot.TokenFile != "" {
		raw, err := regularfile.Read(cfg.SkyPilot.TokenFile, regularfile.SmallFile)
		if err != nil {
			return activities.Clouds{}, fmt.Errorf("read the token of the SkyPilot API server: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	skypilotCloud, err := skypilot.New(skypilot.Options{
		Dir: cfg.SkyPilotDir(), Python: cfg.SkyPilot.Python, Endpoint: cfg.SkyPilot.Endpoint, Token: token,
		Port: cfg.SkyPilot.Port, LaunchesAtOnce: cfg.SkyPilot.LaunchesAtOnce, FullRuntime: cfg.SkyPilot.FullRuntime,
		Usage: cfg.SkyPilot.Usage, AWSInstanceProfile: cfg.SkyPilot.AWSInstanceProfile,
		PowerOffDelay: bootPowerOffAfter,
		Log:           log,
	})
	return activities.Clouds{Named: map[string]cloud.Cloud{docker.Name: dockerCloud}, Others: skypilotCloud}, err
}

func utcNow() time.Time { return time.Now().UTC() }

// bootPowerOffAfter is when a billed machine that was never reached powers itself off: after the deadline of a create.
// Once the machine is reached, the operation sets its own timer instead.
const bootPowerOffAfter = operation.DefaultProvisionTimeout + 30*time.Minute

// idleConnectionTimeout is how long an unused SSH connection is kept.
const idleConnectionTimeout = 5 * time.Minute

// dialTimeout bounds the first contact with Temporal.
const dialTimeout = 10 * time.Second

func dialTemporal(ctx context.Context, cfg *config.Config, log *slog.Logger) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := connect.DialTemporal(ctx, cfg, workerIdentity(), log)
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", cfg.Temporal.Address, err)
	}
	_, err = c.WorkflowService().DescribeNamespace(ctx,
		&workflowservice.DescribeNamespaceRequest{Namespace: cfg.Temporal.Namespace})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("the Temporal server at %s has no usable namespace %q: %w", cfg.Temporal.Address,
			cfg.Temporal.Namespace, err)
	}
	return c, nil
}

// workerIdentity identifies this worker in the Web UI and for skyctl version.
func workerIdentity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return connect.FormatWorkerIdentity(connect.WorkerProcess{Version: version.ReadBuild().Version, PID: os.Getpid(),
		Host: host})
}
