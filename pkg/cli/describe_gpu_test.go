package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newGPUCluster is a cluster of four machines with eight accelerators each, one of which is in use.
func newGPUCluster() *api.Cluster {
	c := api.NewCluster("gpu", "6f1d0c1e", api.ClusterSpec{Cloud: "gcp", Accelerators: "A100:8", GPUTaint: true,
		NumNodes: 4, Provision: true}, nil, timeAgo(20*time.Minute))
	st := &c.Status
	st.SetPhase(api.PhaseReady, "", timeAgo(time.Minute))
	st.Versions = api.Versions{RKE2: "v1.35.7+rke2r1", Kubernetes: "v1.35.7", GPUOperator: "v26.3.2",
		GPUDriver: "580.126.20", GPUPlugin: "v0.19.2"}
	st.Resources = api.Resources{CPUs: api.Amount{Available: 380, Total: 384},
		Memory:       api.Amount{Available: 2700, Total: 2720},
		Accelerators: map[string]api.Amount{"A100": {Available: 31, Total: 32}}}
	st.SetCondition(api.Condition{Type: api.GPUReady, Status: api.ConditionTrue, Reason: "Ready",
		Message: "32 of 32 GPUs are offered"}, timeAgo(time.Minute))
	for i := range 4 {
		m := newTestMachine("gpu", i, api.MachineReady, "", time.Minute)
		st.Machines = append(st.Machines, m)
		st.GPUs = append(st.GPUs, api.NodeGPUs{Node: m.NodeName, Expected: 8, Offered: 8})
	}
	return c
}

func TestPeopleSeeTheAcceleratorsOfACluster(t *testing.T) {
	table := newClusterTable([]api.Cluster{*newGPUCluster()}, false, noon).String()
	if !strings.Contains(table, "A100: 31.0/32.0") {
		t.Errorf("the table lacks A100: 31.0/32.0:\n%s", table)
	}
	compareGolden(t, "table-gpu.txt", table)
	compareGolden(t, "describe-gpu.txt", clusterDescription{cluster: newGPUCluster(), now: noon}.String())
}

func TestTheCommandShownAgainHasItsGPUFlags(t *testing.T) {
	c := newGPUCluster()
	if got := createCommandLine(c); !strings.Contains(got, "--accelerators A100:8 --gpu_taint") ||
		strings.Contains(got, "gpu_stack") {
		t.Errorf("got %s", got)
	}
	c.Spec.GPUStack = "device-plugin"
	if got := createCommandLine(c); !strings.Contains(got, "--gpu_stack device-plugin --gpu_taint") {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsAskedOfGPUsIsJudgedBeforeAnythingIsAsked(t *testing.T) {
	p := newUserWithoutState(t)
	for _, bad := range []struct {
		args  []string
		begin string
	}{
		{[]string{"--accelerators", "A100:0"}, `accelerators "A100:0"`},
		{[]string{"--accelerators", "A100:-1"}, `accelerators "A100:-1"`},
		{[]string{"--accelerators", "{A100: 8"}, `accelerators "{A100: 8"`},
		{[]string{"--accelerators", "8"}, `accelerators "8"`},
		{[]string{"--accelerators", "A100", "--gpu_stack", "helm"}, `gpu_stack "helm"`},
		{[]string{"--gpu_stack", "operator"}, `gpu_stack "operator"`},
		{[]string{"--gpu_taint"}, `gpu_taint "true"`},
	} {
		got := p.run(append([]string{"create", "cluster", "x", "--provision", "--num_nodes", "2"}, bad.args...)...)
		if got.code != ExitUsage || strings.Count(got.err, "\n") != 1 ||
			!strings.HasPrefix(got.err, "Error: "+bad.begin+": ") {
			t.Errorf("%v: exit %d, %q", bad.args, got.code, got.err)
		}
	}
	p.env["SKYCTL_GPU_OPERATOR_VERSION"] = "newest"
	got := p.run("create", "cluster", "x", "--provision", "--accelerators", "A100:8")
	if got.code != ExitUsage || strings.Count(got.err, "\n") != 1 ||
		!strings.Contains(got.err, `"newest" is not a valid value for gpu.operatorVersion`) {
		t.Errorf("no version of a chart: exit %d, %q", got.code, got.err)
	}
	p.checkNothingWritten()
	o := &createOptions{}
	cmd := &cobra.Command{}
	cmd.SetGlobalNormalizationFunc(normalizeFlagName)
	o.bindFlags(cmd)
	if err := o.flags.Parse([]string{"--provision", "--accelerators", "{A100: 8}", "--gpu-stack", "device-plugin",
		"--gpu-taint", "--num_nodes=2"}); err != nil {
		t.Fatal(err)
	}
	c, err := o.buildCluster("x", noon)
	if err != nil || c.Spec.Accelerators != "A100:8" || c.Spec.GPUStack != api.GPUStackDevicePlugin ||
		!c.Spec.GPUTaint {
		t.Errorf("%+v, %v", c.Spec, err)
	}
}
