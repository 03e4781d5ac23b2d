package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// apply plans and applies a file with one cluster.
func (w *world) apply(text string) client.ApplyResult {
	w.t.Helper()
	docs, err := manifest.Parse("file.yaml", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	plans, err := w.ops.PlanApply(w.t.Context(), docs, client.PlanOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	result, err := w.ops.Apply(w.t.Context(), plans[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

func TestFileWithSeveralPoolsIsCreatedAndAFailedOneResumed(t *testing.T) {
	w := newWorld(t, here)
	file := fmt.Sprintf(`apiVersion: %s
kind: Cluster
metadata: {name: layered, labels: {team: vision}}
spec:
  cloud: %s
  control_plane: {machine: {cpus: "2"}}
  pools:
  - name: web
    replicas: 2
    machine: {cpus: "4"}
    labels: {tier: web}
  - name: batch
    machine: {cpus: "8"}
    taints: ["batch=yes:NoSchedule"]
`, api.APIVersion, spec(1).Cloud)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Machine: "sky-layered-3", Times: 1,
		Err: simcloud.NewRefusal(cloud.Capacity)})
	first := w.apply(file)
	ref := first.Cluster.Ref()
	w.awaitFailed(ref)
	second := w.apply(file)
	if first.Kind != client.ApplyCreate || second.Kind != client.ApplyResume || second.Cluster.Ref() != ref {
		t.Errorf("%s, then %s", first.Kind, second.Kind)
	}
	w.awaitReady(ref)
	c := w.get(ref)
	var got []string
	for _, m := range c.Status.Machines {
		got = append(got, fmt.Sprintf("%d %s %s", m.Index, m.PoolName(), c.Spec.MachineSpecOf(m).CPUs))
	}
	if text := strings.Join(got, ", "); text != "0  2, 1 web 4, 2 web 4, 3 batch 8" {
		t.Errorf("machines %s", text)
	}

	if third := w.apply(file); third.Kind != client.ApplySame || w.get(ref).Metadata.Generation != 1 ||
		w.get(ref).Metadata.LastApplied != c.Metadata.LastApplied {
		t.Errorf("the third apply: %+v", third)
	}
	w.healthy(ref, 4)
}
