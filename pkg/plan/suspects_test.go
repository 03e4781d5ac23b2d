package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/plan"
)

func TestOnlySuspectMachinesAreChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func(*scene)
		want  []int
	}{
		{"all healthy", func(*scene) {}, nil},
		{"not Ready", func(s *scene) { s.notReady(1, time.Second) }, []int{1}},
		{"its Node is missing", func(s *scene) { s.noNode(0); s.noNode(2) }, []int{0, 2}},
		{"not listed, and Ready", func(s *scene) { s.unlist(1) }, nil},
		{"gone", func(s *scene) { s.gone(1) }, []int{1}},
		{"stopped", func(s *scene) { s.stop(1) }, nil},
		{"never brought up", func(s *scene) { s.record(1).State = api.MachineUp; s.noNode(1) }, nil},
		{"the API is silent", func(s *scene) { s.silent() }, []int{0}},
		{"the API is silent and the head not listed", func(s *scene) { s.silent(); s.unlist(0) }, []int{0}},
		{"the API is silent and the head stopped", func(s *scene) { s.stop(0); s.silent() }, nil},
		{"the API is silent and the head cannot be started",
			func(s *scene) { s.stop(0); s.silent(); s.w.CanStart = false }, []int{0}},
		{"the cloud cannot be queried", func(s *scene) { s.silent(); s.w.CloudError = "403" }, nil},
		{"in ERROR", func(s *scene) { s.silent(); s.c.Status.Phase = api.PhaseError }, nil},
	} {
		s := newScene(4)
		c.wrong(s)
		if got := plan.FindSuspects(s.c, s.w); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	s := newScene(100)
	for i := range 100 {
		s.noNode(i)
	}
	if got := plan.FindSuspects(s.c, s.w); len(got) != 20 {
		t.Errorf("%d are checked, want 20", len(got))
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func(*scene)
		want  string
	}{
		{"all healthy", func(*scene) {}, "Reachable True; InSync True; ControlPlaneReady True; NodesReady True"},
		{"in ERROR", func(s *scene) { s.c.Status.Phase = api.PhaseError }, "Reachable True"},
		{"being provisioned", func(s *scene) { s.c.Status.Phase = api.PhaseProvisioning }, ""},
		{"the cloud cannot be queried", func(s *scene) {
			s.w.CloudError = "403"
		}, "Reachable Unknown 403; InSync Unknown; ControlPlaneReady True; NodesReady True"},
		{"the API is silent", func(s *scene) { s.silent(); s.unit(0, "active") }, "Reachable True; InSync False " +
			"APISilent, sky-x-0 APISilent; ControlPlaneReady False connection refused; NodesReady Unknown"},
		{"the API is unreachable from skyd", func(s *scene) {
			s.silent()
			s.says(0, plan.Healthy)
		}, "Reachable True; InSync False APIUnreachable; " +
			"ControlPlaneReady Unknown the Kubernetes API is ready on the head itself, but does not answer " +
			"skyd: connection refused; NodesReady Unknown"},
		{"two are gone", func(s *scene) { s.gone(1); s.gone(2) }, "Reachable True; InSync False sky-x-1 " +
			"MachineGone, sky-x-2 MachineGone; ControlPlaneReady True; NodesReady False 2 of 6: sky-x-1, sky-x-2"},
		{"all but one are gone", func(s *scene) { s.gone(1); s.gone(2); s.gone(3); s.gone(4); s.gone(5) },
			"Reachable True; InSync False sky-x-1 MachineGone, sky-x-2 MachineGone, sky-x-3 MachineGone, and 2 " +
				"more; ControlPlaneReady True; NodesReady False 5 of 6: sky-x-1, sky-x-2, sky-x-3, and 2 more"},
		{"cordoned", func(s *scene) {
			s.w.Nodes["sky-x-1-inc1"] = plan.Node{Ready: true, Cordoned: true}
		}, "Reachable True; InSync True; ControlPlaneReady True; NodesReady True"},
		{"another version", func(s *scene) {
			s.w.Nodes["sky-x-1-inc1"] = plan.Node{Ready: true, Kubelet: "v1"}
		}, "Reachable True; InSync False sky-x-1 VersionSkew; ControlPlaneReady True; NodesReady True"},
	} {
		s := newScene(6)
		c.wrong(s)
		var got []string
		for _, x := range check(t, s).Conditions {
			got = append(got, strings.TrimSpace(string(x.Type)+" "+string(x.Status)+" "+x.Message))
			if (x.Status == api.ConditionTrue) != (x.Reason == "") {
				t.Errorf("%s: %+v", c.name, x)
			}
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, text, c.want)
		}
	}
}

func TestValidateCluster(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*api.Cluster)
		want string
	}{
		{"unchanged", func(*api.Cluster) {}, ""},
		{"a running repair", func(c *api.Cluster) {
			c.Status.Repairs = []api.Repair{{ID: "a", At: noon}}
		}, ""},
		{"a machine that is being launched", func(c *api.Cluster) {
			c.Status.Machines[1].State = api.MachineReserved
		}, ""},
		{"before the create started", func(c *api.Cluster) { c.Status = api.ClusterStatus{Phase: api.PhaseInit} }, ""},
		{"a larger cluster that is being deleted",
			func(c *api.Cluster) { setMachineCount(c, 1); c.Status.Phase = api.PhaseDeleting }, ""},
		{"no phase", func(c *api.Cluster) { c.Status.Phase = "" }, "status.phase"},
		{"an unknown phase", func(c *api.Cluster) { c.Status.Phase = "FINE" }, `"FINE"`},
		{"no machines requested", func(c *api.Cluster) { setMachineCount(c, 0) }, "the spec has 0 machines"},
		{"a negative number of machines", func(c *api.Cluster) { setMachineCount(c, -1) }, "the spec has -1 machines"},
		{"too many machines", func(c *api.Cluster) { setMachineCount(c, 1e6) }, "from 1 to 250"},
		{"no UID", func(c *api.Cluster) { c.Metadata.UID = "" }, "uid"},
		{"no name", func(c *api.Cluster) { c.Metadata.Name = "" }, "metadata.name"},
		{"a name that is a path", func(c *api.Cluster) { c.Metadata.Name = "../x" }, "metadata.name"},
		{"another cluster's machines", func(c *api.Cluster) {
			c.Metadata.Name = "y"
		}, `"sky-x-0" instead of "sky-y-0"`},
		{"a negative index", func(c *api.Cluster) {
			c.Status.Machines[1].Index = -1
		}, "machine index -1 is out of range"},
		{"two machines with one index", func(c *api.Cluster) {
			c.Status.Machines[1] = c.Status.Machines[0]
		}, "two machines have the index 0"},
		{"an index that does not match the name", func(c *api.Cluster) { c.Status.Machines[2].Index = 7 }, "sky-x-7"},
		{"two heads", func(c *api.Cluster) {
			c.Status.Machines[1].Role, c.Status.Machines[1].Pool = api.RoleHead, ""
		}, "role"},
		{"a head in a pool", func(c *api.Cluster) {
			c.Status.Machines[0].Pool = "gpu"
		}, `has the pool "gpu"`},
		{"no head", func(c *api.Cluster) { c.Status.Machines[0].Role = api.RoleWorker }, "role"},
		{"no incarnation", func(c *api.Cluster) { c.Status.Machines[1].Incarnation = "" }, "incarnation"},
		{"another machine's Node", func(c *api.Cluster) {
			c.Status.Machines[1].NodeName = "sky-x-0-inc0"
		}, "sky-x-0-inc0"},
		{"an unknown state", func(c *api.Cluster) { c.Status.Machines[1].State = "Fine" }, `"Fine"`},
		{"READY without machines", func(c *api.Cluster) { c.Status.Machines = nil }, "no machine has the role"},
		{"READY with one too few", func(c *api.Cluster) { c.Status.Machines = c.Status.Machines[:2] }, ""},
		{"READY with one too many", func(c *api.Cluster) { setMachineCount(c, 2) }, ""},
		{"READY with indexes left out", func(c *api.Cluster) {
			c.Status.Machines = slices.Delete(c.Status.Machines, 1, 2)
		}, ""},
		{"a machine of a deleted pool", func(c *api.Cluster) { c.Status.Machines[1].Pool = "gone" }, ""},
		{"an index that is given again", func(c *api.Cluster) { c.Status.NextIndex = 2 }, "status.next_index is 2"},
		{"an index that a create has not recorded yet", func(c *api.Cluster) {
			c.Status.NextIndex, c.Status.Phase = 2, api.PhaseProvisioning
		}, ""},
		{"a pool of negative size", func(c *api.Cluster) {
			c.Spec.Pools = append(c.Spec.Pools, api.Pool{Name: "gpu", Replicas: -1})
		}, "pool gpu of the spec has -1 replicas"},
		{"READY without a placement", func(c *api.Cluster) { c.Status.Placement = nil }, "placement"},
		{"a repair without a time", func(c *api.Cluster) { c.Status.Repairs = []api.Repair{{ID: "a"}} }, "repair 0"},
	} {
		x := newScene(3).c
		c.edit(x)
		err := plan.ValidateCluster(x)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if plan.ValidateCluster(nil) == nil {
		t.Error("an empty cluster is valid")
	}
}
