package integration

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	sdkclient "go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/worker"
)

func TestStateOfTheVersionBeforeIsTakenOver(t *testing.T) {
	s := openFormerState(t)
	before := s.listed()
	checkFormerClusters(t, before)
	for name, kind := range map[string]string{"creating": operation.WorkflowProvision,
		"deleting": operation.WorkflowDelete, "repairing": operation.WorkflowRepair} {
		if r := s.runsOf(name)[0]; r.status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING || r.kind != kind {
			t.Errorf("%s: the operation is %s, %s", name, r.kind, r.status)
		}
	}
	s.finishFormerOperations(before)
	s.checkFormerEvents(clusterRef(before, "repairing"))
	lastRepair(t, s.get(clusterRef(before, "repairing")), api.ActionReplace, "sky-repairing-1")
	s.checkErrorsCanBeLeft(before)
	s.checkSchedule()
	s.checkLabelsReachNodes(clusterRef(before, "four"))
	s.deleteAll()
}

// updateNodes sweeps until the Nodes of a cluster have the labels that its version did not set.
func (s *state) updateNodes(ref api.Ref) {
	s.t.Helper()
	s.sweepUntil(ref, func(c *api.Cluster) bool {
		return !slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool {
			n := s.cloud.ReadNode(ref.UID, m.NodeName)
			return n == nil || c.NodeSettings(m).DescribeMissing(n.Labels, nil) != ""
		})
	})
}

// checkLabelsReachNodes waits until the Nodes of a cluster whose version did not set them have the labels of the
// cluster. Their machines stay.
func (s *state) checkLabelsReachNodes(ref api.Ref) {
	s.t.Helper()
	had := s.cloud.ExistingMachines("sky-" + ref.Name + "-")
	eventually.Holds(s.t, "the labels reach the Nodes", func() bool {
		c := s.get(ref)
		return !slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool {
			n := s.cloud.ReadNode(ref.UID, m.NodeName)
			return n == nil || n.Labels["team"] != "vision" || m.Node == nil
		})
	})
	s.checkSameMachines(ref, had)
}

func TestStateOfTheVersionBeforeIsTakenOverFromEtcdAlone(t *testing.T) {
	s := openFormerState(t, loseTemporalData)
	before := s.listed()
	checkFormerClusters(t, before)
	// The first sweep resumes what was under way.
	if err := worker.EnsureSchedule(t.Context(), s.temporal, s.queue, s.cfg.Reconcile.Interval); err != nil {
		t.Fatal(err)
	}
	s.finishFormerOperations(before)
	s.deleteAll()
}

// finishFormerOperations starts the worker, and checks that it finishes what was under way with the machines that were
// there.
func (s *state) finishFormerOperations(before map[string]api.Cluster) {
	s.t.Helper()
	had := s.cloud.ExistingMachines("")
	s.begin()
	if h, err := s.store.ReadHome(s.t.Context()); err != nil || h.Doubt != nil {
		s.t.Errorf("home %+v, %v", h, err)
	}
	s.awaitGone(clusterRef(before, "deleting"))
	s.awaitReady(clusterRef(before, "creating"))
	eventually.Holds(s.t, "the repair ends", func() bool {
		d, err := s.temporal.DescribeWorkflowExecution(s.t.Context(), operation.WorkflowID("repairing"), "")
		return err == nil && d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	})
	// One machine of the create had not been launched; all others were there.
	if n := s.cloud.CountLaunches("", ""); n != len(had)+1 {
		s.t.Errorf("%d machines were launched, %d before", n, len(had))
	}
	for name, n := range map[string]int{"one": 1, "three": 3, "four": 4, "creating": 4, "repairing": 3} {
		s.updateNodes(clusterRef(before, name))
		s.healthy(clusterRef(before, name), n)
		s.checkSameMachines(clusterRef(before, name), had)
	}
	if left := s.cloud.ExistingMachines("sky-deleting-"); len(left) != 0 {
		s.t.Errorf("machines of the deleted cluster remain: %+v", left)
	}
}

// awaitOperation waits until no operation works on a cluster.
func (s *state) awaitOperation(cluster string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.temporal.GetWorkflow(ctx, operation.WorkflowID(cluster), "").Get(ctx, nil); err != nil {
		s.t.Errorf("the operation on %s: %v", cluster, err)
	}
}

// checkFormerClusters checks what the new version reads before it has changed anything.
func checkFormerClusters(t *testing.T, listed map[string]api.Cluster) {
	t.Helper()
	for name, want := range map[string]struct {
		phase    api.Phase
		machines int
		observed int64 // the generation of the spec that was reached
	}{
		"one": {api.PhaseReady, 1, 1}, "three": {api.PhaseReady, 3, 1}, "four": {api.PhaseReady, 4, 1},
		"repairing": {api.PhaseReady, 3, 1}, "creating": {api.PhaseProvisioning, 4, 0},
		"deleting": {api.PhaseDeleting, 3, 1}, "failed": {api.PhaseError, 2, 0}, "mendable": {api.PhaseError, 2, 1},
	} {
		c, ok := listed[name]
		if !ok || c.Status.Phase != want.phase || len(c.Status.Machines) != want.machines {
			t.Errorf("%s: %s with %d machines, want %+v", name, c.Status.Phase, len(c.Status.Machines), want)
			continue
		}
		for i, m := range c.Status.Machines {
			role, pool := api.RoleWorker, api.DefaultPool
			if i == 0 {
				role, pool = api.RoleHead, ""
			}
			if m.Index != i || m.Role != role || m.PoolName() != pool || m.Incarnation == "" {
				t.Errorf("%s: index %d, %s in pool %q", m.Name, m.Index, m.Role, m.PoolName())
			}
		}
		if !reflect.DeepEqual(c.Spec.Clone(), wantedFormerSpec(name, c.Spec, want.machines)) {
			t.Errorf("%s: spec %+v", name, c.Spec)
		}
		if c.APIVersion != api.APIVersion || c.Metadata.Generation != 1 ||
			c.Status.ObservedGeneration != want.observed || c.Status.NextIndex != want.machines {
			t.Errorf("%s: %s, %+v, generation %d observed, next index %d", name, c.APIVersion, c.Metadata,
				c.Status.ObservedGeneration, c.Status.NextIndex)
		}
	}
	if l := listed["four"].Metadata.Labels; l["team"] != "vision" {
		t.Errorf("labels %v", l)
	}
	if len(listed) != 8 {
		t.Errorf("%d clusters", len(listed))
	}
}

// wantedFormerSpec is the spec of a cluster of n machines in the present form.
func wantedFormerSpec(name string, read api.ClusterSpec, n int) api.ClusterSpec {
	of := spec(n)
	if name == "four" {
		of.Memory, of.DiskSize, of.Ports = "4+", 50, []string{"8080"}
	}
	s := api.NewClusterSpec(of)
	s.KubernetesVersion, s.RKE2, s.GPU = read.KubernetesVersion, read.RKE2, read.GPU
	s.APIAccess = read.APIAccess
	return s
}

// checkSameMachines checks that a cluster has the machines that the cloud had for it.
func (s *state) checkSameMachines(cluster api.Ref, had []cloud.Machine) {
	s.t.Helper()
	after := s.get(cluster)
	for _, m := range had {
		if m.Owner.ClusterUID != cluster.UID {
			continue
		}
		if now := after.Status.Machines[m.Index]; now.Name != m.Name || now.Incarnation != m.Incarnation ||
			now.CloudID != m.ID || now.Address != m.Address {
			s.t.Errorf("%s is on record as %+v, and was %+v", m.Name, now, m)
		}
	}
}

// checkFormerEvents checks that the events of the version before are kept.
func (s *state) checkFormerEvents(repairing api.Ref) {
	s.t.Helper()
	events, err := s.store.ListEvents(s.t.Context(), repairing.UID)
	if err != nil || !slices.ContainsFunc(events, func(e api.Event) bool {
		return e.Reason == string(api.DriftMachineGone) && e.Machine == "sky-repairing-1"
	}) {
		s.t.Errorf("events %+v, %v", events, err)
	}
}

// checkErrorsCanBeLeft repeats the create that failed, and repairs the cluster whose repairs failed.
func (s *state) checkErrorsCanBeLeft(before map[string]api.Cluster) {
	s.t.Helper()
	failed, mendable := before["failed"], before["mendable"]
	had := s.cloud.ExistingMachines("sky-mendable-")
	for _, c := range []api.Cluster{failed, mendable} {
		if now := s.get(c.Ref()); now.Status.Phase != api.PhaseError || now.Status.Failure == nil {
			s.t.Errorf("%s left ERROR by itself: %s", c.Metadata.Name, now.Status.Phase)
		}
	}
	s.awaitReady(s.create("failed", 2, client.CreateOptions{}))
	s.healthy(failed.Ref(), 2)

	if _, err := s.ops.SweepClusters(s.t.Context(),
		operation.SweepInput{Cluster: "mendable", Again: true}); err != nil {
		s.t.Error(err)
	}
	s.awaitOperation("mendable")
	s.healthy(mendable.Ref(), 2)
	s.checkSameMachines(mendable.Ref(), had)
}

// checkSchedule checks that the schedule of the version before is the only one, and starts one sweep per interval.
func (s *state) checkSchedule() {
	s.t.Helper()
	const interval, sweeps = 2 * time.Second, 4
	schedules := s.temporal.ScheduleClient()
	schedule := schedules.GetHandle(s.t.Context(), operation.SweepScheduleID)
	if d, err := schedule.Describe(s.t.Context()); err != nil || d.Info.NumActions == 0 {
		s.t.Fatalf("the schedule of the version before: %+v, %v", d, err)
	}
	begin := time.Now()
	if err := worker.EnsureSchedule(s.t.Context(), s.temporal, s.queue, interval); err != nil {
		s.t.Fatal(err)
	}
	all, err := schedules.List(s.t.Context(), sdkclient.ScheduleListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for all.HasNext() {
		if e, err := all.Next(); err != nil || e.ID != operation.SweepScheduleID {
			s.t.Errorf("schedule %+v, %v", e, err)
		}
	}
	var at []time.Time
	eventually.Holds(s.t, "the schedule starts sweeps", func() bool {
		d, err := schedule.Describe(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		at = nil
		for _, a := range d.Info.RecentActions {
			if a.ActualTime.After(begin.Add(interval)) {
				at = append(at, a.ScheduleTime)
			}
		}
		return len(at) >= sweeps
	})
	slices.SortFunc(at, time.Time.Compare)
	for i := 1; i < len(at); i++ {
		if between := at[i].Sub(at[i-1]); between < interval*8/10 {
			s.t.Errorf("two sweeps within %s: %v", between, at)
		}
	}
}

// deleteAll deletes all clusters.
func (s *state) deleteAll() {
	s.t.Helper()
	all := s.listed()
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names {
		s.delete(clusterRef(all, name), false)
	}
	for _, name := range names {
		s.awaitGone(clusterRef(all, name))
	}
	if left := s.cloud.ExistingMachines(""); len(left) != 0 {
		s.t.Errorf("machines remain: %+v", left)
	}
}
