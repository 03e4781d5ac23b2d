package api_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestAcceleratorsGetTheDefaultStackOfTheirVendor(t *testing.T) {
	for _, c := range []struct{ accelerators, given, want string }{
		{"", "", ""},
		{"A100", "", "operator"},
		{"{a100: 8}", "", "operator"},
		{"A100:8", "Device_Plugin", "device-plugin"},
		{"A100:8", "none", "none"},
		{"tpu-v4-8", "", "none"},
		{"MI300X:8", "", "none"},
		{"A100:0", "", ""}, // malformed: Validate names it
		{"A100", "helm", "helm"},
	} {
		spec := api.GroupSpec{Accelerators: c.accelerators, GPUStack: c.given}
		spec.SetDefaults()
		if spec.GPUStack != c.want {
			t.Errorf("%q with stack %q: got %q, want %q", c.accelerators, c.given, spec.GPUStack, c.want)
		}
		if managed := c.want == "operator" ||
			c.want == "device-plugin"; api.NewClusterSpec(spec).ManagesGPUs() != managed {
			t.Errorf("%q with stack %q: managed by us is %v", c.accelerators, c.given, !managed)
		}
	}
}

func TestGPUFlagsNeedAccelerators(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*api.GroupSpec)
		field, says string
	}{
		"no such stack": {func(s *api.GroupSpec) {
			s.Accelerators, s.GPUStack = "A100", "helm"
		}, "gpu_stack", "device-plugin"},
		"a stack without accelerators": {func(s *api.GroupSpec) {
			s.GPUStack = "operator"
		}, "gpu_stack", "--accelerators"},
		"another maker's": {func(s *api.GroupSpec) {
			s.Accelerators, s.GPUStack = "tpu-v4-8", "operator"
		}, "gpu_stack", "NVIDIA"},
		"a taint without accelerators": {func(s *api.GroupSpec) { s.GPUTaint = true }, "gpu_taint", "--accelerators"},
		"a taint without workers": {func(s *api.GroupSpec) {
			s.Accelerators, s.GPUTaint, s.NumNodes = "A100", true, 1
		}, "gpu_taint", "--num_nodes"},
	} {
		spec := good()
		c.change(&spec)
		spec.SetDefaults()
		all := api.FieldErrorsOf(spec.Validate())
		if len(all) != 1 || all[0].Field != c.field || !strings.Contains(all[0].Want, c.says) {
			t.Errorf("%s: got %v, want %s to say %q", name, all, c.field, c.says)
		}
	}
	fine := good()
	fine.Accelerators, fine.GPUTaint, fine.GPUStack = "H100:8", true, "device-plugin"
	if err := fine.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAcceleratorsCompareWithoutCase(t *testing.T) {
	there, asked := good(), good()
	there.Accelerators, asked.Accelerators = "A100:8", "{a100: 8}"
	if diff := api.DiffSpec(there, asked); len(diff) > 0 {
		t.Errorf("the same accelerators differ: %q", diff)
	}
	asked.GPUStack = "none"
	if diff := api.DiffSpec(there, asked); len(diff) != 1 {
		t.Errorf("another stack: %q", diff)
	}
}

func TestAcceleratorNamesGetTheSpellingOfTheCatalogs(t *testing.T) {
	for given, want := range map[string]string{
		"v100:4": "V100:4", "a100-80gb": "A100-80GB:1", "{h100: 8}": "H100:8", "rtx6000-ada:2": "RTX6000-Ada:2",
		"t4G": "T4g:1", "L40S:1": "L40S:1",
		"h100-mega:8": "H100-MEGA:8", "tpu-v4-8": "tpu-v4-8:1", "Trainium:16": "Trainium:16", "MI300X:8": "MI300X:8",
	} {
		spec := api.GroupSpec{Accelerators: given}
		spec.SetDefaults()
		if spec.Accelerators != want {
			t.Errorf("%s: got %s, want %s", given, spec.Accelerators, want)
		}
	}
}
