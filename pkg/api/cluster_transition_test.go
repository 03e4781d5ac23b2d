package api_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// changeable is a READY cluster with two workers in pool default, and one in pool big.
func changeable() *api.Cluster {
	c := api.NewCluster("dev", "u", api.GroupSpec{Cloud: "gcp", Region: "us-west1", CPUs: "2+", NumNodes: 3,
		Provision: true}, map[string]string{"team": "vision"}, time.Unix(1, 0))
	c.Spec.Pools = append(c.Spec.Pools, api.Pool{Name: "big", Replicas: 1, Machine: api.MachineSpec{CPUs: "8+"}})
	for i, pool := range []string{"", "default", "default", "big"} {
		m := api.NewMachine("dev", i, pool, "aaaaaa", api.Placement{Cloud: "aws", Region: "us-east-1"}, time.Unix(1, 0))
		m.State = api.MachineReady
		c.Status.Machines = append(c.Status.Machines, m)
	}
	c.Status.Phase = api.PhaseReady
	return c
}

// TestEveryFieldChangesAsItDeclares sets every field of a file once to its example.
func TestEveryFieldChangesAsItDeclares(t *testing.T) {
	tried := map[string]bool{}
	for _, f := range api.Fields {
		for _, group := range []string{"", "control_plane", "pools[default]"} {
			c := changeable()
			spec := c.Spec.Clone()
			g := spec.ControlPlaneGroup()
			if group == "pools[default]" {
				g = spec.PoolGroup(spec.Pools[0])
			}
			if strings.HasPrefix(f.Name, "snapshot_s3_") { // they go together
				g.Snapshots.S3URL, g.Snapshots.S3Secret = "s3://other", "other"
			}
			if strings.HasPrefix(f.Name, "ssh_proxy_jump") { // so do these
				g.SSH = api.SSHAccess{ProxyJump: "other@192.0.2.1:22", ProxyJumpHostKey: otherHostKey,
					ProxyJumpSecret: "other"}
			}
			if f.Set(&g, f.Example) != nil || f.Name == "num_nodes" || f.IsOfMachines() != (group != "") {
				continue
			}
			switch group {
			case "control_plane":
				spec.ControlPlane.Machine = g.MachineSpec()
			case "pools[default]":
				spec.Pools[0].Machine = g.MachineSpec()
			default:
				changed := api.NewClusterSpec(g)
				changed.ControlPlane, changed.Pools = spec.ControlPlane, spec.Pools
				spec = changed
			}
			after := *c
			after.Spec = spec
			for _, d := range api.CompareClusters(c, &after) {
				tried[d.Path] = true
				checkChange(t, c, spec, d)
			}
		}
	}
	for path, name := range map[string]string{"spec.network.max_nodes": "", "spec.cloud": "",
		"spec.control_plane.machine.cpus": "", "spec.pools[default].machine.cpus": ""} {
		if !tried[path] {
			t.Errorf("%s was not changed %s", path, name)
		}
	}
}

func checkChange(t *testing.T, c *api.Cluster, spec api.ClusterSpec, d api.FieldDifference) {
	t.Helper()
	if strings.HasPrefix(d.Path, "spec.gpu_") {
		return // with accelerators only
	}
	err := c.ChangeTo(spec, c.Metadata.Labels, time.Unix(2, 0))
	var refused *api.FieldError
	switch {
	case d.Change.Way == api.ChangeNever && (!errors.As(err, &refused) || refused.Field != d.Path ||
		!strings.Contains(refused.Want, d.Change.Why) || !strings.Contains(refused.Want, d.Change.Instead)):
		t.Errorf("%s: %v", d.Path, err)
	case d.Change.Way != api.ChangeNever && err != nil:
		t.Errorf("%s: %v", d.Path, err)
	}
}

func TestChangeToRecordsTheSpecOfOlderMachines(t *testing.T) {
	c := changeable()
	spec := c.Spec.Clone()
	spec.Pools[0].Machine.CPUs = "4+"
	if err := c.ChangeTo(spec, nil, time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Status.Machines {
		want := map[string]string{"default": "2+"}[m.Pool]
		if m.Spec == nil && want != "" || m.Spec != nil && m.Spec.CPUs != want {
			t.Errorf("%s has the spec %+v", m.Name, m.Spec)
		}
	}
	if got := c.Spec.MachineSpecOf(c.Status.Machines[1]).CPUs; got != "2+" {
		t.Errorf("the spec of a machine with a record is %s", got)
	}
}

func TestChangeToSwapsPools(t *testing.T) {
	c := changeable()
	spec := c.Spec.Clone()
	spec.Network.MaxNodes = 0
	spec.Pools = []api.Pool{{Name: "default", Replicas: 1, Machine: spec.Pools[0].Machine},
		{Name: "gpu", Replicas: 248, Machine: api.MachineSpec{Accelerators: "A100:8"}}}
	if err := c.ChangeTo(spec, map[string]string{"team": "nlp"}, time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	if c.Status.Machines[3].Leaving != api.LeavePoolDeleted || c.Spec.GPUStack != api.GPUStackOperator ||
		c.Metadata.Labels["team"] != "nlp" {
		t.Errorf("%+v", c)
	}
	spec = c.Spec.Clone()
	spec.Pools = spec.Pools[:1]
	if err := c.ChangeTo(spec, nil, time.Unix(3, 0)); err != nil || c.Spec.GPUStack != "" {
		t.Errorf("%v, stack %q", err, c.Spec.GPUStack)
	}
}

func TestChangeToAddsPoolsInAnyOrder(t *testing.T) {
	cpu := api.Pool{Name: "cpu", Replicas: 1, Machine: api.MachineSpec{CPUs: "4+"}}
	gpu := api.Pool{Name: "gpu", Replicas: 1, Machine: api.MachineSpec{Accelerators: "A100:1"}}
	for _, pools := range [][]api.Pool{{cpu, gpu}, {gpu, cpu}} {
		c := changeable()
		spec := c.Spec.Clone()
		spec.Pools, spec.GPUTaint = append(spec.Pools, pools...), true
		if err := c.ChangeTo(spec, nil, time.Unix(2, 0)); err != nil {
			t.Errorf("first %s: %v", pools[0].Name, err)
		}
		if len(c.Spec.Pools) != 4 || len(c.Status.Pools) != 2 || c.Spec.GPUStack != api.GPUStackOperator {
			t.Errorf("%+v", c)
		}
	}
}

func TestARefusedChangeChangesNothing(t *testing.T) {
	for field, change := range map[string]func(*api.ClusterSpec){
		"spec.cloud": func(s *api.ClusterSpec) { s.Cloud = "aws" },
		"pool":       func(s *api.ClusterSpec) { s.Pools = append(s.Pools, api.Pool{Name: "old"}) },
	} {
		c := changeable()
		c.Status.Machines = append(c.Status.Machines, api.Machine{Name: "sky-dev-4", Pool: "old",
			Leaving: api.LeavePoolDeleted})
		before, spec := *c, c.Spec.Clone()
		before.Status.Machines = slices.Clone(c.Status.Machines)
		spec.Pools = spec.Pools[:1]
		change(&spec)
		err := c.ChangeTo(spec, nil, time.Unix(2, 0))
		if fields := api.FieldErrorsOf(err); len(fields) != 1 || fields[0].Field != field {
			t.Errorf("%v", err)
		}
		if !reflect.DeepEqual(c, &before) {
			t.Errorf("%s: it changed: %+v", field, c)
		}
	}
}

func TestNodeSettings(t *testing.T) {
	c := changeable()
	c.Metadata.Labels = map[string]string{"team": "vision", "kubernetes.io/role": "x", "tier": "low"}
	c.Spec.Pools[0].Labels, c.Spec.Pools[0].Taints = map[string]string{"tier": "high"}, []string{"a=b:NoSchedule"}
	head, worker := c.NodeSettings(c.Status.Machines[0]), c.NodeSettings(c.Status.Machines[1])
	if want := (api.NodeSettings{Labels: map[string]string{"team": "vision", "tier": "low"}}); !reflect.DeepEqual(head,
		want) {
		t.Errorf("the head: %+v", head)
	}
	if want := (api.NodeSettings{Labels: map[string]string{"team": "vision", "tier": "high",
		api.NodeLabelPool: "default"}, Taints: []string{"a=b:NoSchedule"}}); !reflect.DeepEqual(worker, want) {
		t.Errorf("the worker: %+v", worker)
	}
}

func TestTheOrderOfTaintsIsNoDifference(t *testing.T) {
	before, after := changeable(), changeable()
	before.Spec.Pools[0].Taints = []string{"a=b:NoSchedule", "c:NoExecute"}
	after.Spec.Pools[0].Taints = []string{"c:NoExecute", "a=b:NoSchedule"}
	if found := api.CompareClusters(before, after); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	after.Spec.Pools[0].Taints = after.Spec.Pools[0].Taints[:1]
	if found := api.CompareClusters(before, after); len(found) != 1 {
		t.Errorf("%+v", found)
	}
}
