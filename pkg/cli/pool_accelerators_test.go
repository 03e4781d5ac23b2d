package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func newPoolArgs(cluster, name string, more ...string) []string {
	return append([]string{"create", "pool", name, "--cluster", cluster}, more...)
}

func TestFirstAcceleratorsRecordTheSettingsOfTheirStack(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("tuned")
	p.env["SKYCTL_GPU_OPERATOR_VERSION"] = "v25.3.0"
	p.run(newPoolArgs("tuned", "cpu")...).checkOutput(t, 0, "Created pool cpu", "")
	if c := readCluster(t, "tuned"); c.Spec.GPU != (api.GPURelease{}) {
		t.Errorf("without accelerators: %+v", c.Spec.GPU)
	}
	p.run(newPoolArgs("tuned", "gpu", "--accelerators", "A100:8")...).checkOutput(t, 0, "Created pool gpu", "")
	if c := readCluster(t, "tuned"); c.Spec.GPU.OperatorVersion != "v25.3.0" || c.Spec.KubernetesVersion != "" {
		t.Errorf("%+v", c.Spec)
	}
	p.env["SKYCTL_GPU_OPERATOR_VERSION"] = "v25.3.9"
	p.run(newPoolArgs("tuned", "more", "--accelerators", "A100:8")...).checkOutput(t, 0, "Created pool more", "")
	if c := readCluster(t, "tuned"); c.Spec.GPU.OperatorVersion != "v25.3.0" {
		t.Errorf("a cluster that has a stack: %+v", c.Spec.GPU)
	}
}

func TestPoolWhoseAcceleratorsGetNoStackIsNoted(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("mixed")
	const note = "Note: the gpu_stack of cluster mixed is none"
	if got := p.run(newPoolArgs("mixed", "tpu", "--accelerators", "tpu-v4:8")...); got.code != 0 ||
		strings.Contains(got.err, note) {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	p.run(newPoolArgs("mixed", "gpu", "--accelerators", "A100:8")...).checkOutput(t, 0, "Created pool gpu", note)
}

func TestRequestThatNoPlacementSatisfiesIsBadInput(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("nowhere", skydstub.Behavior{Plan: func(s api.GroupSpec) (operation.PlanResult, error) {
		if s.CPUs == "4000" {
			return operation.PlanResult{}, nil
		}
		return operation.PlanResult{Placements: []api.Placement{skydstub.DefaultPlacement}}, nil
	}})
	p.run(createArgs("placed", "--region", "nowhere", "--wait")...)
	p.run(newPoolArgs("placed", "big", "--cpus", "4000")...).checkOutput(t, ExitUsage, "", "no placement satisfies")
	p.run("create", "cluster", "big", "--provision", "--cloud", "docker", "--region", "nowhere", "--cpus",
		"4000").checkOutput(t, ExitUsage, "", "no placement satisfies")
}

func TestLongestNameOfAnOlderVersionIsOnlyForItsClusters(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	name := strings.Repeat("n", api.MaxNameLength+1)
	for _, more := range []string{"--wait", "--dry-run"} {
		p.run(createArgs(name, more)...).checkOutput(t, ExitUsage, "", "at most 48 characters")
	}
	c := api.NewCluster(name, "u1", api.GroupSpec{Cloud: "docker", CPUs: "2+", NumNodes: 3, Provision: true}, nil,
		time.Now())
	c.Status.Phase = api.PhaseError
	if _, err := world.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.run(createArgs(name)...).checkOutput(t, 0, "Resumed cluster "+name, "")
}
