package workflows

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/fixture"
)

var ref = api.Ref{Name: "c1", UID: "uid-1"}

// world stands in for all activities: it logs every call, and each call can be made to fail. The activities have their
// own tests.
type world struct {
	*testsuite.TestWorkflowEnvironment
	mu     sync.Mutex
	log    []string
	nodes  int
	wanted record.WantedState
	survey machines.SurveyResult
	begun  record.BeginResult
	exist  map[string]bool
	// failures by "activity machine" or "activity"; each is returned once.
	failures map[string][]error
	// during has functions that run within an activity, by the same keys.
	during map[string]func(ctx context.Context) error
	failed *api.Failure
	tried  []record.RecordAttemptInput
	// pools are those in the ranked placements; reserved is what was reserved last.
	pools          []api.PoolPlacement
	reserved       record.ReserveInput
	joins, disarms crowd
}

func newWorld(t *testing.T, numNodes int, placements ...api.Placement) *world {
	t.Helper()
	return newSlowWorld(t, numNodes, 0, placements...)
}

// newSlowWorld returns a world in which a join takes time on the workflow's clock.
func newSlowWorld(t *testing.T, numNodes int, joinTakes time.Duration, placements ...api.Placement) *world {
	t.Helper()
	w := &world{
		TestWorkflowEnvironment: newEnvironment(), nodes: numNodes, exist: map[string]bool{},
		failures: map[string][]error{}, during: map[string]func(context.Context) error{},
	}
	w.RegisterWorkflow(Provision)
	w.RegisterWorkflow(BringUp)
	w.RegisterWorkflow(Converge)
	w.RegisterWorkflow(Delete)
	w.RegisterActivity(&record.Activities{})
	w.RegisterActivity(&machines.Activities{})
	w.RegisterActivity(&nodes.Activities{})
	w.RegisterActivity(&snapshots.Activities{})
	w.onClusters()
	w.onMachines(placements)
	w.onNodes(joinTakes)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("calls:\n%s", strings.Join(w.log, "\n"))
		}
	})
	return w
}

// did logs an activity, runs the test's function for it, and returns the test's failure for it.
func (w *world) did(ctx context.Context, what string) error {
	w.mu.Lock()
	w.log = append(w.log, what)
	hook := w.during[what]
	var err error
	if rest := w.failures[what]; len(rest) > 0 {
		err, w.failures[what] = rest[0], rest[1:]
	}
	w.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	submit, await := strings.HasPrefix(what, "submit "), strings.HasPrefix(what, "await ")
	if err != nil && (submit || await) {
		// Wait for the other launches: unlike a server, this environment does not wait for cancelled activities, and
		// the clean-up would miss a later launch.
		there := w.nodes
		if submit {
			there--
		}
		if hung := w.until(func() bool { return len(w.exist) >= there })(ctx); hung != nil {
			return hung
		}
	}
	return err
}

// until makes an activity wait until a condition holds. If it never does, the activity fails permanently.
func (w *world) until(holds func() bool) func(context.Context) error {
	return func(context.Context) error {
		for give := time.Now().Add(patience); time.Now().Before(give); time.Sleep(time.Millisecond) {
			w.mu.Lock()
			held := holds()
			w.mu.Unlock()
			if held {
				return nil
			}
		}
		return final("test", "", "NeverHeld")
	}
}

func (w *world) onClusters() {
	w.OnActivity(snapshotActivities.DeleteClusterSnapshots, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, _ api.Ref) error { return w.did(ctx, "delete snapshots") })
	a := &record.Activities{}
	w.OnActivity(a.Begin, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		_ operation.ProvisionInput) (record.BeginResult, error) {
		return w.begun, w.did(ctx, "begin")
	}).Maybe()
	w.OnActivity(a.Wanted, mock.Anything, ref).Return(func(context.Context, api.Ref) (record.WantedState, error) {
		return w.wanted, nil
	}).Maybe()
	w.OnActivity(a.Reserve, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in record.ReserveInput) ([]activities.MachineRef, error) {
		refs := make([]activities.MachineRef, w.nodes)
		for i := range refs {
			name := api.MachineName(ref.Name, i)
			refs[i] = activities.MachineRef{Cluster: ref, Index: i, Name: name, NodeName: name + "-x",
				Role: fixture.RoleAt(i)}
		}
		w.reserved = in
		return refs, w.did(ctx, "reserve "+in.Placement.Region)
	}).Maybe()
	w.OnActivity(a.RecordAttempt, mock.Anything,
		mock.Anything).Return(func(_ context.Context, in record.RecordAttemptInput) error {
		w.tried = append(w.tried, in)
		return nil
	}).Maybe()
	w.OnActivity(a.SetCondition, mock.Anything,
		mock.Anything).Return(func(ctx context.Context, in record.SetConditionInput) error {
		return w.did(ctx, "condition "+string(in.Condition.Type))
	}).Maybe()
	w.OnActivity(a.MarkReady, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) (record.ReadyResult,
		error) {
		return record.ReadyResult{}, w.did(ctx, "ready")
	}).Maybe()
	w.OnActivity(a.MarkFailed, mock.Anything,
		mock.Anything).Return(func(ctx context.Context, in record.MarkFailedInput) error {
		w.failed = &in.Failure
		return w.did(ctx, "failed")
	}).Maybe()
	w.OnActivity(a.MarkDeleting, mock.Anything,
		ref).Return(func(ctx context.Context, _ api.Ref) error { return w.did(ctx, "deleting") }).Maybe()
	w.OnActivity(a.Forget, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) error {
		return w.did(ctx, "forget")
	}).Maybe()
}

func (w *world) onMachines(placements []api.Placement) {
	a := &machines.Activities{}
	w.OnActivity(a.Plan, mock.Anything, ref).Return(func(ctx context.Context,
		_ api.Ref) ([]machines.ClusterPlacement, error) {
		var ranked []machines.ClusterPlacement
		for _, p := range placements {
			ranked = append(ranked, machines.ClusterPlacement{Placement: p, Pools: w.pools})
		}
		return ranked, w.did(ctx, "plan")
	}).Maybe()
	w.OnActivity(a.Survey, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) (machines.SurveyResult,
		error) {
		return w.survey, w.did(ctx, "survey")
	}).Maybe()
	w.OnActivity(a.Submit, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		m activities.MachineRef) (string, error) {
		err := w.did(ctx, "submit "+m.Name)
		if err == nil {
			w.mu.Lock()
			w.exist[m.Name] = true
			w.mu.Unlock()
		}
		return "launch-" + m.Name, err
	}).Maybe()
	w.OnActivity(a.Await, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in machines.AwaitInput) error {
		return w.did(ctx, "await "+in.Machine.Name)
	}).Maybe()
	w.OnActivity(a.Existing, mock.Anything, ref).Return(func(ctx context.Context,
		_ api.Ref) ([]machines.ExistingMachine, error) {
		err := w.did(ctx, "existing")
		w.mu.Lock()
		defer w.mu.Unlock()
		var all []machines.ExistingMachine
		for _, name := range slices.Sorted(maps.Keys(w.exist)) {
			all = append(all, machines.ExistingMachine{Name: name})
		}
		return all, err
	}).Maybe()
	w.OnActivity(a.Terminate, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		in machines.TerminateInput) error {
		err := w.did(ctx, "terminate "+in.Name)
		if err == nil {
			w.mu.Lock()
			delete(w.exist, in.Name)
			w.mu.Unlock()
		}
		return err
	}).Maybe()
	w.OnActivity(a.Release, mock.Anything, ref).Return(func(ctx context.Context, _ api.Ref) error {
		return w.did(ctx, "release")
	}).Maybe()
}

func (w *world) onNodes(joinTakes time.Duration) {
	a := &nodes.Activities{}
	on := func(activity any, what string) {
		w.OnActivity(activity, mock.Anything,
			mock.Anything).Return(func(ctx context.Context, m activities.MachineRef) error {
			return w.did(ctx, what+" "+m.Name)
		}).Maybe()
	}
	on(a.Prepare, "prepare")
	on(a.StartHead, "head")
	on(a.AwaitServer, "api")
	on(a.AwaitNode, "node")
	on(a.CheckLost, "lost?")
	w.OnActivity(a.Join, mock.Anything, mock.Anything).After(joinTakes).Return(func(ctx context.Context,
		m activities.MachineRef) error {
		defer w.joins.enter()()
		return w.did(ctx, "join "+m.Name)
	}).Maybe()
	w.OnActivity(a.Diagnose, mock.Anything, mock.Anything).Return(func(_ context.Context,
		m activities.MachineRef) ([]string, error) {
		return []string{"last words of " + m.Name}, nil
	}).Maybe()
}

// index returns the position of the first such call in the log, or -1.
func (w *world) index(what string) int { return slices.Index(w.log, what) }

func (w *world) provision(t *testing.T) error {
	t.Helper()
	w.ExecuteWorkflow(Provision, operation.ProvisionInput{Cluster: ref})
	if !w.IsWorkflowCompleted() {
		t.Fatal("the workflow did not end")
	}
	return w.GetWorkflowError()
}

// final returns an error as activities return it if a retry cannot help.
func final(step, machine, reason string) error {
	f := api.Failure{Step: step, Machine: machine, Reason: reason, Message: "because"}
	return temporal.NewApplicationErrorWithOptions("because", reason,
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{f}})
}

var here, there = api.Placement{Cloud: "sim", Region: "here"}, api.Placement{Cloud: "sim", Region: "there"}

func TestProvisionStartsTheHeadBeforeWorkersJoin(t *testing.T) {
	w := newWorld(t, 3, here, there)
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"sky-c1-1", "sky-c1-2"} {
		if w.index("join "+m) < w.index("head sky-c1-0") {
			t.Errorf("%s joined before the head was up", m)
		}
		if w.index("prepare "+m) < 0 || w.index("node "+m) > w.index("ready") {
			t.Errorf("%s was not Ready before the cluster was", m)
		}
	}
	for _, c := range []api.ConditionType{api.MachinesLaunched, api.MachinesPrepared, api.ControlPlaneReady,
		api.NodesReady} {
		if at := w.index("condition " + string(c)); at < 0 || at > w.index("ready") {
			t.Errorf("condition %s was not recorded before READY", c)
		}
	}
	if w.index("reserve there") >= 0 || w.index("existing") >= 0 {
		t.Error("a second placement was tried, or machines were terminated")
	}
}

func TestWorkersJoinBeforeTheKubernetesAPIAnswers(t *testing.T) {
	w := newWorld(t, 3, here)
	w.during["api sky-c1-0"] = w.until(func() bool {
		return w.index("join sky-c1-1") >= 0 && w.index("join sky-c1-2") >= 0
	})
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
}

func TestSilentKubernetesAPIFailsTheCreate(t *testing.T) {
	w := newWorld(t, 3, here)
	w.failures["api sky-c1-0"] = []error{final("wait for the Kubernetes API", "sky-c1-0", "Deadline")}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if w.failed == nil || w.failed.Machine != "sky-c1-0" || w.failed.Reason != "Deadline" || len(w.exist) != 0 {
		t.Errorf("failure %+v, machines left: %v", w.failed, w.exist)
	}
}

func TestNextPlacementWaitsUntilTheFirstIsEmpty(t *testing.T) {
	for _, kind := range []cloud.ErrorKind{cloud.Capacity, cloud.Quota, cloud.Access} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, 3, here, there)
			w.failures["submit sky-c1-2"] = []error{final("launch", "sky-c1-2", string(kind))}
			if err := w.provision(t); err != nil {
				t.Fatal(err)
			}
			if len(w.tried) != 1 || w.tried[0].Placement != here || w.tried[0].Failure.Machine != "sky-c1-2" {
				t.Errorf("attempts recorded: %+v", w.tried)
			}
			if w.index("release") < 0 || w.index("release") > w.index("reserve there") {
				t.Error("the next placement was tried before the first was confirmed empty")
			}
		})
	}
}

func TestNextPlacementIsNotTriedForOtherErrors(t *testing.T) {
	for _, reason := range []string{string(cloud.Infeasible), string(cloud.Conflict), "ChecksumMismatch"} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, 2, here, there)
			w.failures["await sky-c1-1"] = []error{final("launch", "sky-c1-1", reason)}
			if err := w.provision(t); err == nil {
				t.Fatal("no error")
			}
			if w.index("reserve there") >= 0 {
				t.Error("another placement was tried")
			}
			if len(w.exist) != 0 {
				t.Errorf("machines left: %v", w.exist)
			}
			if w.failed == nil || w.failed.Reason != reason || w.failed.Machine != "sky-c1-1" ||
				w.failed.Step != "launch" {
				t.Errorf("failure recorded: %+v", w.failed)
			}
		})
	}
}

func TestProvisionReportsReasonAndLogIfEveryPlacementFails(t *testing.T) {
	w := newWorld(t, 1, here, there)
	empty := final("launch", "sky-c1-0", string(cloud.Capacity))
	w.failures["submit sky-c1-0"] = []error{empty, empty}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if len(w.tried) != 2 || w.failed == nil || w.failed.Reason != string(cloud.Capacity) {
		t.Errorf("attempts %+v, failure %+v", w.tried, w.failed)
	}
	if !slices.Equal(w.failed.Log, []string{"last words of sky-c1-0"}) {
		t.Errorf("log: %q", w.failed.Log)
	}
}

func TestProvisionKeepsMachinesOnFailure(t *testing.T) {
	w := newWorld(t, 2, here)
	w.wanted.KeepMachines = true
	w.failures["join sky-c1-1"] = []error{final("join the cluster", "sky-c1-1", "WrongToken")}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if len(w.exist) != 2 {
		t.Errorf("machines left: %v, want both", w.exist)
	}
}

func TestProvisionReusesKeptMachinesOnlyWithTheirHead(t *testing.T) {
	for _, head := range []bool{true, false} {
		t.Run(fmt.Sprintf("head=%t", head), func(t *testing.T) {
			w := newWorld(t, 2, there, here)
			w.begun.Placement = &here
			w.survey = machines.SurveyResult{Head: head}
			w.exist["sky-c1-1"] = true
			if err := w.provision(t); err != nil {
				t.Fatal(err)
			}
			if kept := w.index("reserve here") >= 0; kept != head {
				t.Errorf("continued in the old placement: %t, want %t", kept, head)
			}
			if gone := w.index("terminate sky-c1-1") >= 0; gone == head {
				t.Errorf("terminated the old worker: %t, want %t", gone, !head)
			}
		})
	}
}

func TestProvisionReservesPoolsInTheirOwnPlacements(t *testing.T) {
	own := func(pool, instance string) api.PoolPlacement {
		return api.PoolPlacement{Pool: pool, Placement: api.Placement{Cloud: "sim", InstanceType: instance}}
	}
	for name, c := range map[string]struct {
		earlier *api.Placement
		kept    []api.PoolPlacement
		want    []api.PoolPlacement
	}{
		"new": {nil, nil, []api.PoolPlacement{own("gpu", "large"), own("cpu", "small")}},
		"kept, and one that was not": {&here, []api.PoolPlacement{own("cpu", "old")},
			[]api.PoolPlacement{own("cpu", "old"), own("gpu", "large")}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2, here)
			w.pools = []api.PoolPlacement{own("gpu", "large"), own("cpu", "small")}
			w.begun.Placement, w.begun.Pools, w.survey = c.earlier, c.kept, machines.SurveyResult{Head: true}
			if err := w.provision(t); err != nil {
				t.Fatal(err)
			}
			if w.reserved.Placement != here || !slices.Equal(w.reserved.Pools, c.want) {
				t.Errorf("reserved %+v, want %+v", w.reserved, c.want)
			}
		})
	}
}

func TestCancelledProvisionTerminatesWhatItLaunched(t *testing.T) {
	w := newWorld(t, 3, here)
	w.during["head sky-c1-0"] = func(context.Context) error { w.CancelWorkflow(); return errors.New("cut short") }
	err := w.provision(t)
	if !temporal.IsCanceledError(err) {
		t.Fatalf("error: %v, want cancelled", err)
	}
	if len(w.exist) != 0 || w.failed == nil || w.failed.Reason != "Cancelled" {
		t.Errorf("machines left %v, failure %+v", w.exist, w.failed)
	}
}

func TestProvisionContinuesAsDelete(t *testing.T) {
	w := newWorld(t, 2, here)
	w.during["head sky-c1-0"] = func(context.Context) error {
		w.wanted.Deleted = true
		w.CancelWorkflow()
		return errors.New("cut short")
	}
	err := w.provision(t)
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) || next.WorkflowType.Name != operation.WorkflowDelete {
		t.Fatalf("error: %v, want to continue as Delete", err)
	}
	if w.index("failed") >= 0 {
		t.Error("the cluster was marked as failed")
	}
}

func TestLateProvisionNamesTheMachineAndStep(t *testing.T) {
	w := newSlowWorld(t, 3, 2*time.Hour, here)
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if w.failed == nil || w.failed.Reason != "Deadline" || w.failed.Machine != "sky-c1-1" ||
		w.failed.Step != "join the cluster" {
		t.Errorf("failure: %+v", w.failed)
	}
	if len(w.exist) != 0 {
		t.Errorf("machines left: %v", w.exist)
	}
}

func TestAtMostFiftyWorkersJoinAtOnce(t *testing.T) {
	w := newWorld(t, 121, here)
	w.joins.gather(50)
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	if w.joins.most != 50 {
		t.Errorf("%d joined at once", w.joins.most)
	}
}

func TestDeleteConfirmsBeforeItRemovesTheRecord(t *testing.T) {
	w := newWorld(t, 2, here)
	w.exist = map[string]bool{"sky-c1-0": true, "sky-c1-1": true}
	w.failures["terminate sky-c1-1"] = []error{errors.New("the cloud hiccups"), errors.New("and again")}
	w.ExecuteWorkflow(Delete, operation.DeleteInput{Cluster: ref})
	if err := w.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if len(w.exist) != 0 || w.index("forget") < w.index("delete snapshots") ||
		w.index("delete snapshots") < w.index("release") || w.index("release") < 0 {
		t.Errorf("left %v, log %q", w.exist, w.log)
	}
}

func TestUnconfirmedDeleteKeepsTheRecord(t *testing.T) {
	w := newWorld(t, 1, here)
	w.exist["sky-c1-0"] = true
	w.failures["terminate sky-c1-0"] = []error{final("terminate", "sky-c1-0", string(cloud.Access))}
	w.ExecuteWorkflow(Delete, operation.DeleteInput{Cluster: ref})
	if err := w.GetWorkflowError(); err == nil {
		t.Fatal("no error")
	}
	if w.index("forget") >= 0 || w.failed == nil || w.failed.Machine != "sky-c1-0" {
		t.Errorf("failure %+v, log %q", w.failed, w.log)
	}
}

func TestPurgeRemovesTheRecordIfTheCloudIsUnreachable(t *testing.T) {
	w := newWorld(t, 1, here)
	w.failures["existing"] = []error{final("list the machines", "", string(cloud.Access))}
	w.ExecuteWorkflow(Delete, operation.DeleteInput{Cluster: ref, Purge: true})
	if err := w.GetWorkflowError(); err != nil || w.index("forget") < 0 {
		t.Errorf("error %v, log %q", err, w.log)
	}
}

func TestDeleteOfAGoneClusterSucceeds(t *testing.T) {
	w := newWorld(t, 1, here)
	w.failures["deleting"] = []error{final("mark", "", activities.ReasonGone)}
	w.ExecuteWorkflow(Delete, operation.DeleteInput{Cluster: ref})
	if err := w.GetWorkflowError(); err != nil {
		t.Error(err)
	}
}

func TestMachinesOfTheLastPlacementAreKept(t *testing.T) {
	w := newWorld(t, 2, here)
	w.wanted.KeepMachines = true
	w.failures["submit sky-c1-1"] = []error{final("launch", "sky-c1-1", string(cloud.Quota))}
	w.during["submit sky-c1-1"] = w.until(func() bool { return w.exist["sky-c1-0"] })
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if !w.exist["sky-c1-0"] {
		t.Error("the launched machine was terminated")
	}
	if len(w.tried) != 1 || !w.tried[0].Last {
		t.Errorf("attempts recorded: %+v", w.tried)
	}
}

func TestFailedCleanUpDoesNotMaskTheLaunchError(t *testing.T) {
	w := newWorld(t, 2, here, there)
	w.failures["submit sky-c1-1"] = []error{final("launch", "sky-c1-1", string(cloud.Quota))}
	w.failures["existing"] = []error{final("list the machines", "", string(cloud.Access))}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if w.failed == nil || w.failed.Reason != string(cloud.Quota) || w.failed.Machine != "sky-c1-1" {
		t.Errorf("failure: %+v", w.failed)
	}
	if w.index("reserve there") >= 0 || len(w.exist) != 0 {
		t.Errorf("machines left %v, log %q", w.exist, w.log)
	}
}

func TestLongCreateContinuesAsNewWithTheRemainingTime(t *testing.T) {
	w := newWorld(t, 1, here, there)
	w.SetContinueAsNewSuggested(true)
	w.failures["submit sky-c1-0"] = []error{final("launch", "sky-c1-0", string(cloud.Capacity))}
	err := w.provision(t)
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) || next.WorkflowType.Name != operation.WorkflowProvision {
		t.Fatalf("error: %v, want to continue as Provision", err)
	}
	var in operation.ProvisionInput
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	if !in.Continued || in.Cluster != ref || in.Timeout <= 0 || in.Timeout > operation.DefaultProvisionTimeout {
		t.Errorf("continues with %+v", in)
	}
	if w.failed != nil {
		t.Errorf("the cluster was marked as failed: %+v", w.failed)
	}

	w = newWorld(t, 1, here, there)
	w.begun.Tried = []api.Placement{here}
	if err := w.provision(t); err != nil || w.index("reserve here") >= 0 {
		t.Errorf("error %v; a placement was tried twice: %q", err, w.log)
	}
}

func TestErrorWithoutDetailsNamesItsMachine(t *testing.T) {
	w := newWorld(t, 2, here)
	w.failures["prepare sky-c1-1"] = []error{temporal.NewNonRetryableApplicationError("broken pipe", "", nil)}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if w.failed == nil || w.failed.Machine != "sky-c1-1" || w.failed.Step != "install RKE2" {
		t.Errorf("failure: %+v", w.failed)
	}
}
