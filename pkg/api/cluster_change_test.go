package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

// newPooledCluster has one server, two default workers and three machines in a pool gpu whose min_replicas are 3.
func newPooledCluster() *api.Cluster {
	c := &api.Cluster{Metadata: api.Metadata{Name: "dev"}, Spec: newPooledSpec()}
	c.Spec.FindPool("gpu").MinReplicas = 3
	for i, pool := range []string{"", "default", "default", "gpu", "gpu", "gpu"} {
		c.Status.Machines = append(c.Status.Machines, api.NewMachine("dev", i, pool, "aaaaa", api.Placement{},
			fixture.Noon))
	}
	return c
}

func TestMachineNamesAreTakenApart(t *testing.T) {
	for name, want := range map[string]string{"sky-dev-3": "dev 3", "sky-a-b-0": "a-b 0", "sky-dev-10": "dev 10",
		"sky-dev": "", "sky--1": "", "dev-1": "", "sky-dev-01": "", "sky-dev-x": "", "sky-dev--1": "dev- 1", "": ""} {
		cluster, index, ok := api.ParseMachineName(name)
		got := ""
		if ok {
			got = cluster + " " + string(rune('0'+index%10))
			if index == 10 {
				got = cluster + " 10"
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestDeletedMachineMakesItsPoolSmaller(t *testing.T) {
	c := newPooledCluster()
	for range 2 { // the second time changes nothing
		if err := c.DeleteMachine("sky-dev-1"); err != nil {
			t.Fatal(err)
		}
	}
	if c.Spec.FindPool("default").Replicas != 1 || c.Status.Machines[1].Leaving != api.LeaveDeleted ||
		c.Status.Machines[2].Leaving != "" {
		t.Errorf("%+v", c)
	}
}

func TestMachinesThatCannotBeDeletedOrReplaced(t *testing.T) {
	c := newPooledCluster()
	c.Status.Machines[2].Leaving = api.LeaveScaledDown
	remove, replace := (*api.Cluster).DeleteMachine, (*api.Cluster).ReplaceMachine
	for _, tt := range []struct {
		change        func(*api.Cluster, string) error
		machine, want string
	}{
		{remove, "sky-dev-0", "the only server"},
		{replace, "sky-dev-0", "the only server"},
		{remove, "sky-dev-9", "skyctl get machines dev"},
		{replace, "sky-dev-9", "skyctl get machines dev"},
		{remove, "sky-dev-3", "min_replicas are 3"},
		{replace, "sky-dev-2", "leaves the cluster (ScaledDown)"},
	} {
		errs := api.FieldErrorsOf(tt.change(c, tt.machine))
		if len(errs) != 1 || errs[0].Field != "machine" || errs[0].Value != tt.machine ||
			!strings.Contains(errs[0].Want, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.machine, errs, tt.want)
		}
	}
}

func TestPoolOfADeletedNameWaitsForItsMachines(t *testing.T) {
	c := newPooledCluster()
	if err := c.DeletePool("gpu"); err != nil {
		t.Fatal(err)
	}
	if c.Status.Machines[3].Leaving != api.LeavePoolDeleted || c.Status.Machines[1].Leaving != "" {
		t.Errorf("%+v", c.Status.Machines)
	}
	p := api.Pool{Name: "gpu", Replicas: 1, Machine: api.MachineSpec{CPUs: "4"}}
	if errs := api.FieldErrorsOf(c.CreatePool(p, fixture.Noon)); len(errs) != 1 ||
		!strings.Contains(errs[0].Want, "are gone") {
		t.Errorf("%+v", errs)
	}
	c.Status.Machines = c.Status.Machines[:3]
	if err := c.CreatePool(p, fixture.Noon); err != nil || len(c.Status.Pools) != 1 ||
		!c.Status.Pools[0].CreatedAt.Equal(fixture.Noon) {
		t.Errorf("%v, %+v", err, c.Status.Pools)
	}
}

func TestLastPoolWithWorkersIsFound(t *testing.T) {
	s := newPooledSpec()
	if s.IsLastPoolWithWorkers("default") {
		t.Error("pool gpu has workers")
	}
	s.FindPool("gpu").Replicas = 0
	if !s.IsLastPoolWithWorkers("default") || s.IsLastPoolWithWorkers("gpu") || s.IsLastPoolWithWorkers("none") {
		t.Error("only default has workers")
	}
}

func TestClusterWithoutItsHeadCannotChange(t *testing.T) {
	c := newPooledCluster()
	c.Status.SetPhase(api.PhaseReady, "", fixture.Noon)
	c.Status.SetPhase(api.PhaseError, "", fixture.Noon)
	c.Status.Failure = &api.Failure{Reason: "Timeout"}
	if why := c.RefuseSpecChange(); why != "" {
		t.Errorf("a failed repair can continue: %s", why)
	}
	c.Status.Failure.Reason = string(api.DriftHeadLost)
	if why := c.RefuseSpecChange(); !strings.Contains(why, "skyctl delete cluster dev") {
		t.Errorf("got %q", why)
	}
}

func TestMachineOfAPoolScaledToNothingCanBeDeleted(t *testing.T) {
	c := api.NewCluster("a", "u", api.GroupSpec{NumNodes: 2, Provision: true}, nil, time.Now())
	c.Status.Machines = []api.Machine{{Name: "sky-a-0", Role: api.RoleHead},
		{Index: 1, Name: "sky-a-1", Role: api.RoleWorker}}
	if err := c.Spec.ScaleTo(1); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteMachine("sky-a-1"); err != nil {
		t.Error(err)
	}
	if p := c.Spec.FindPool(api.DefaultPool); p.Replicas != 0 || c.Status.Machines[1].Leaving != api.LeaveDeleted {
		t.Errorf("%+v, %+v", p, c.Status.Machines)
	}
}
