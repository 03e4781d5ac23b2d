package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestClusterOfAnOlderVersionIsConverted(t *testing.T) {
	const old = `{"api_version":"skyctl.sky-shift.org/v1","kind":"Cluster","metadata":{"name":"a","uid":"u"},
		"spec":{"manager":"k8","cloud":"aws","zone":"us-east-1a","accelerators":"A100:8","use_spot":true,
		"num_nodes":3,"provision":true},"status":{"phase":"READY"}}`
	var c api.Cluster
	if err := json.Unmarshal([]byte(old), &c); err != nil {
		t.Fatal(err)
	}
	c.CompleteStored()
	machine := api.MachineSpec{Zone: "us-east-1a", Accelerators: "A100:8", UseSpot: true}
	want := api.ClusterSpec{Manager: "k8", Cloud: "aws", GPUStack: "operator", Provision: true,
		ControlPlane: api.ControlPlane{Replicas: 1, Machine: machine},
		Pools:        []api.Pool{{Name: "default", Replicas: 2, Machine: machine}}}
	if !reflect.DeepEqual(c.Spec, want) {
		t.Errorf("got  %+v\nwant %+v", c.Spec, want)
	}
	if c.APIVersion != api.APIVersion || c.Metadata.Generation != 1 || c.Status.ObservedGeneration != 1 ||
		c.Status.NextIndex != 3 {
		t.Errorf("%+v", c)
	}
	data, err := json.Marshal(c)
	if err != nil || !strings.HasPrefix(string(data), `{"apiVersion":`) {
		t.Errorf("%s, %v", data, err)
	}
	var again api.Cluster
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("stored again: %+v, %v", again, err)
	}
	worker, head := api.Machine{Index: 1, Role: api.RoleWorker}, api.Machine{Role: api.RoleHead}
	if worker.PoolName() != api.DefaultPool || head.PoolName() != "" {
		t.Errorf("pools %q, %q", worker.PoolName(), head.PoolName())
	}
}

func TestUnfinishedClusterOfAnOlderVersionHasNothingReached(t *testing.T) {
	c := api.Cluster{Spec: api.NewClusterSpec(api.GroupSpec{NumNodes: 2})}
	c.Status.Phase = api.PhaseProvisioning
	if c.CompleteStored(); c.Metadata.Generation != 1 || c.Status.ObservedGeneration != 0 {
		t.Errorf("generation %d, observed %d", c.Metadata.Generation, c.Status.ObservedGeneration)
	}
}
