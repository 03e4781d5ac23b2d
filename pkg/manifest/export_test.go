package manifest_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

func TestAnExportHasNoDefaults(t *testing.T) {
	c := &api.Cluster{Metadata: api.Metadata{Name: "dev", UID: "u", CreatedAt: now, Generation: 2, LastApplied: "{}",
		CreatedByApply: true}}
	c.Spec = api.ClusterSpec{Provision: true, ControlPlane: api.ControlPlane{Replicas: 1}, Pools: []api.Pool{{
		Name: "on", Machine: api.MachineSpec{CPUs: "8", Accelerators: "A100:1", MaxHourlyCost: 1e6}}}}
	c.SetDefaults()
	const want = `apiVersion: skyctl.sky-shift.org/v1
kind: Cluster
metadata:
  name: dev
spec:
  pools:
    - name: "on"
      replicas: 0
      machine:
        cpus: "8"
        accelerators: A100:1
        max_hourly_cost: 1000000
`
	got, err := manifest.Export(c)
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestAClusterOfAnOlderVersionCanBeAFile: its name may be longer than that of a new one.
func TestAClusterOfAnOlderVersionCanBeAFile(t *testing.T) {
	c := parseSpec(t, "{}")
	stored, err := c.NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	stored.Metadata.Name = strings.Repeat("a", api.MaxNameLength+1)
	if again := mustExport(t, stored); again.Metadata.Name != stored.Metadata.Name {
		t.Errorf("%+v", again)
	}
}
