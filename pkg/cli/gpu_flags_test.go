package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestGPUFlagsAreValidatedBeforeAnythingStarts(t *testing.T) {
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
	c, err := o.buildCluster("x", fixture.Noon)
	if err != nil || o.request.Accelerators != "A100:8" || c.Spec.GPUStack != api.GPUStackDevicePlugin ||
		!c.Spec.GPUTaint {
		t.Errorf("%+v, %v", c.Spec, err)
	}
}
