package integration

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	sdkclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/worker"
)

// execute runs one activity as a worker does.
func (w *world) execute(activity any, input any) error {
	w.t.Helper()
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.SetTestTimeout(patience)
	env.RegisterActivity(w.acts.Nodes)
	env.RegisterActivity(w.acts.Machines)
	env.RegisterActivity(w.acts.Clusters)
	_, err := env.ExecuteActivity(activity, input)
	return err
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// readyWorker creates a cluster of two machines, and returns its worker.
func (w *world) readyWorker(name string) (api.Ref, activities.MachineRef) {
	w.t.Helper()
	ref := w.create(name, 2, client.CreateOptions{})
	return ref, activities.MachineRefOf(ref, w.awaitReady(ref).Status.Machines[1])
}

// observe looks at a cluster through its API.
func (w *world) observe(ref api.Ref) kube.Observation {
	w.t.Helper()
	client, err := activities.NewClusterClient(w.t.Context(), w.get(ref), w.store, w.acts.Nodes.Pool)
	w.check(err)
	defer kube.CloseClient(client)
	seen, err := kube.ObserveCluster(w.t.Context(), client, nil,
		func(api.Machine) api.Accelerators { return api.Accelerators{} })
	w.check(err)
	return seen
}

func TestDrainSaysWhatHoldsItAndIsCalledOff(t *testing.T) {
	w := newWorld(t)
	ref, m := w.readyWorker("drain-held")
	w.check(w.cloud.AddPod(ref.UID, m.NodeName, "shop/web-0", "web"))
	w.check(w.cloud.AddPod(ref.UID, m.NodeName, "shop/free", "free"))
	w.check(w.cloud.SetDisruptionBudget(ref.UID, "shop/web", "web", false))
	in := nodes.DrainMachineInput{Machine: m, Timeout: time.Second, Reason: "scaled down"}
	err := w.execute(w.acts.Nodes.DrainMachine, in)
	var applied *temporal.ApplicationError
	if !errors.As(err, &applied) || applied.Type() != "DrainBlocked" || !applied.NonRetryable() {
		t.Fatalf("got %v", err)
	}
	const why = "shop/web-0 is held by PodDisruptionBudget web: The disruption budget web needs 2 healthy pods"
	if f := activities.FailureDetails(err); f.Machine != m.Name || !strings.Contains(f.Message, why) {
		t.Errorf("failure %+v", f)
	}
	if r := w.get(ref).Status.Machines[1]; !strings.Contains(r.Trouble, why) || r.State != api.MachineReady {
		t.Errorf("record: %s %q", r.State, r.Trouble)
	}
	if left := w.cloud.ListPods(ref.UID, m.NodeName); !slices.Equal(left, []string{"shop/web-0"}) {
		t.Errorf("pods %q", left)
	}
	cordoned := func() bool { return w.observe(ref).Nodes[m.NodeName].Cordoned }
	if !cordoned() {
		t.Error("the Node takes new pods while its drain may go on")
	}
	w.check(w.execute(w.acts.Nodes.UncordonNode, m))
	if r := w.get(ref).Status.Machines[1]; cordoned() || r.Trouble != "" || r.Step != "" {
		t.Errorf("after the drain was called off: %q, %q", r.Trouble, r.Step)
	}
}

func TestMachineLeavesStepByStep(t *testing.T) {
	w := newWorld(t, dear("here"))
	ref, m := w.readyWorker("drain-leaves")
	cost := func() float64 { return w.get(ref).Status.CostSoFar(time.Now()) }
	var failed *temporal.ApplicationError
	if err := w.execute(w.acts.Clusters.ForgetMachine, m); !errors.As(err, &failed) || failed.Type() != "NotGone" {
		t.Errorf("a machine that is Ready: %v", err)
	}
	for _, step := range []struct{ activity, input any }{
		{w.acts.Nodes.DrainMachine, nodes.DrainMachineInput{Machine: m, Timeout: time.Minute, Reason: "scaled down"}},
		{w.acts.Machines.Terminate, machines.TerminateInput{Cluster: ref, Name: m.Name, Incarnation: m.Incarnation,
			Index: m.Index}},
		{w.acts.Nodes.ForgetNode, nodes.ForgetNodeInput{Cluster: ref, Node: m.NodeName}},
	} {
		for range 2 {
			w.check(w.execute(step.activity, step.input))
		}
	}
	head := w.get(ref).Status.Machines[0].NodeName
	if nodes, passwords, _ := w.cloud.ListNodes(ref.UID); !slices.Equal(nodes, []string{head}) ||
		!slices.Equal(passwords, []string{head}) {
		t.Errorf("nodes %q, passwords %q", nodes, passwords)
	}
	before := cost()
	for range 2 {
		w.check(w.execute(w.acts.Clusters.ForgetMachine, m))
	}
	c := w.get(ref)
	if len(c.Status.Machines) != 1 || c.Status.RemovedCost <= 0 || cost() < before {
		t.Errorf("machines %+v, removed $%v, in all $%v, before $%v", c.Status.Machines, c.Status.RemovedCost, cost(),
			before)
	}
}

func TestDrainByForceDeletesPodsAndStopsTheAgent(t *testing.T) {
	w := newWorld(t)
	ref, m := w.readyWorker("drain-forced")
	w.check(w.cloud.AddPod(ref.UID, m.NodeName, "shop/web-0", "web"))
	w.check(w.cloud.SetDisruptionBudget(ref.UID, "shop/web", "web", false))
	in := nodes.DrainMachineInput{Machine: m, Timeout: time.Millisecond, Force: true, Reason: "scaled down"}
	w.check(w.execute(w.acts.Nodes.DrainMachine, in))
	if left := w.cloud.ListPods(ref.UID, m.NodeName); len(left) != 0 {
		t.Errorf("pods %q", left)
	}
	if seen := w.observe(ref).Nodes[m.NodeName]; seen.Ready {
		t.Error("its agent runs")
	}
	events, err := w.store.ListEvents(t.Context(), ref.UID)
	if err != nil || !slices.ContainsFunc(events, func(e api.Event) bool {
		return e.Reason == "DrainForced" && e.Machine == m.Name && strings.Contains(e.Message, "shop/web-0")
	}) {
		t.Errorf("events %v, %v", events, err)
	}
}

// firstDrainDies makes the first try of DrainMachine end after it has drained for an hour.
type firstDrainDies struct {
	interceptor.WorkerInterceptorBase
	temporal sdkclient.Client
}

func (f *firstDrainDies) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	d := &dyingDrain{temporal: f.temporal}
	d.Next = next
	return d
}

type dyingDrain struct {
	interceptor.ActivityInboundInterceptorBase
	temporal sdkclient.Client
}

func (d *dyingDrain) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if info := activity.GetInfo(ctx); info.ActivityType.Name == "DrainMachine" && info.Attempt == 1 {
		activity.RecordHeartbeat(ctx, "draining", time.Hour)
		return nil, errors.Join(errors.New("the worker died"), d.awaitHeartbeat(ctx, info))
	}
	return d.Next.ExecuteActivity(ctx, in)
}

// awaitHeartbeat waits until Temporal has the heartbeat. A worker with many activities sends it later.
func (d *dyingDrain) awaitHeartbeat(ctx context.Context, info activity.Info) error {
	for {
		run, err := d.temporal.DescribeWorkflowExecution(ctx, info.WorkflowExecution.ID, info.WorkflowExecution.RunID)
		if err != nil {
			return err
		}
		for _, pending := range run.GetPendingActivities() {
			if pending.GetHeartbeatDetails() != nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestDrainContinuesTheTimeOfADeadWorker(t *testing.T) {
	t.Parallel()
	w := newIdleWorld(t, shared)
	w.running = worker.New(w.temporal, w.queue, w.acts, &firstDrainDies{temporal: w.temporal})
	w.running.RegisterWorkflowWithOptions(func(ctx workflow.Context, in nodes.DrainMachineInput) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: in.LongestDrain(),
			HeartbeatTimeout: silence})
		return workflow.ExecuteActivity(ctx, w.acts.Nodes.DrainMachine, in).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: "drain"})
	w.check(w.running.Start())
	t.Cleanup(w.running.Stop)
	ref, m := w.readyWorker("drain-resumed")
	w.check(w.cloud.AddPod(ref.UID, m.NodeName, "shop/web-0", "web"))
	w.check(w.cloud.SetDisruptionBudget(ref.UID, "shop/web", "web", false))
	run, err := w.temporal.ExecuteWorkflow(t.Context(), sdkclient.StartWorkflowOptions{TaskQueue: w.queue}, "drain",
		nodes.DrainMachineInput{Machine: m, Timeout: time.Hour, Reason: "scaled down"})
	w.check(err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var failed *temporal.ApplicationError
	if err := run.Get(ctx, nil); !errors.As(err, &failed) || failed.Type() != "DrainBlocked" ||
		!strings.Contains(failed.Message(), "after 1h0m0s") {
		t.Errorf("got %v", err)
	}
}

func TestDrainOfALostMachineDoesNotWait(t *testing.T) {
	w := newWorld(t)
	ref, m := w.readyWorker("drain-lost")
	w.check(w.cloud.AddPod(ref.UID, m.NodeName, "shop/web-0", "web"))
	w.cloud.LoseMachine(m.Name)
	in := nodes.DrainMachineInput{Machine: m, Timeout: time.Hour, Reason: "scaled down"}
	w.check(w.execute(w.acts.Nodes.DrainMachine, in))
	w.check(w.cloud.DeleteNode(ref.UID, m.NodeName))
	w.check(w.execute(w.acts.Nodes.DrainMachine, in))
	w.check(w.execute(w.acts.Nodes.UncordonNode, m))
}

func TestDrainGoesOnOnceTheBudgetAllows(t *testing.T) {
	w := newWorld(t)
	ref, m := w.readyWorker("drain-goeson")
	w.check(w.cloud.AddPod(ref.UID, m.NodeName, "shop/web-0", "web"))
	w.check(w.cloud.SetDisruptionBudget(ref.UID, "shop/web", "web", false))
	done := make(chan error, 1)
	go func() {
		done <- w.execute(w.acts.Nodes.DrainMachine,
			nodes.DrainMachineInput{Machine: m, Timeout: time.Hour, Reason: "scaled down"})
	}()
	const doing = "draining: 1 pod left, shop/web-0 held by PodDisruptionBudget web"
	eventually.Holds(t, "the record says what holds the drain",
		func() bool { return w.get(ref).Status.Machines[1].Step == doing })
	w.check(w.cloud.SetDisruptionBudget(ref.UID, "shop/web", "web", true))
	w.check(<-done)
}
