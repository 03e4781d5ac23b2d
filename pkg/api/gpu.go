package api

import (
	"strings"
)

// The ways in which a cluster's accelerators are made known to Kubernetes.
const (
	// GPUStackOperator installs NVIDIA's GPU Operator, which brings driver, container toolkit and device plugin as
	// needed.
	GPUStackOperator = "operator"
	// GPUStackDevicePlugin installs the device plugin alone, for images that carry driver and toolkit already.
	GPUStackDevicePlugin = "device-plugin"
	// GPUStackNone installs nothing.
	GPUStackNone = "none"
)

// StepRelease is the step of a Failure of a delete that has ended all machines it knows: the clouds can't say that
// nothing is left.
const StepRelease = "confirm that nothing is left"

// StepGPU is the step of a Failure that leaves a cluster whole but for its accelerators: its machines and its
// kubeconfig are kept.
const StepGPU = "gpu"

// NodeGPUs is how many accelerators a node should offer to pods, and how many it does.
type NodeGPUs struct {
	Node     string `json:"node"`
	Expected int    `json:"expected"`
	Offered  int    `json:"offered"`
}

// otherVendorPrefixes are how the names of accelerators begin that NVIDIA's software does not serve.
var otherVendorPrefixes = []string{"tpu", "trainium", "inferentia", "gaudi", "mi25", "mi50", "mi100", "mi200", "mi210",
	"mi250", "mi300", "mi325", "mi350", "mi355", "radeon"}

// IsNVIDIA says whether accelerators of that name are NVIDIA's, as far as the name shows.
func IsNVIDIA(accelerator string) bool {
	lower := strings.ToLower(accelerator)
	for _, prefix := range otherVendorPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return false
		}
	}
	return true
}

// ManagesGPUs says that the accelerators of a cluster with this spec are made known to Kubernetes by us, so that it is
// READY only when GPUReady holds.
func (s ClusterSpec) ManagesGPUs() bool {
	s.SetDefaults()
	return s.GPUStack == GPUStackOperator || s.GPUStack == GPUStackDevicePlugin
}

// normalizeGPUStack is the normal form of a stack's name, if there is such a stack.
func normalizeGPUStack(name string) (string, bool) {
	switch lower := strings.ReplaceAll(strings.ToLower(name), "_", "-"); lower {
	case GPUStackOperator, GPUStackDevicePlugin, GPUStackNone:
		return lower, true
	}
	return "", false
}

// setDefaultGPUStack brings the stack's name into normal form, and chooses one where there are accelerators.
func (s *ClusterSpec) setDefaultGPUStack() {
	if stack, ok := normalizeGPUStack(s.GPUStack); ok {
		s.GPUStack = stack
	}
	if s.GPUStack != "" || s.Accelerators == "" {
		return
	}
	a, err := ParseAccelerators(s.Accelerators)
	switch {
	case err != nil:
	case IsNVIDIA(a.Name):
		s.GPUStack = GPUStackOperator
	default:
		s.GPUStack = GPUStackNone
	}
}

const wantStack = "operator (driver, toolkit and device plugin as needed), device-plugin (for images that carry " +
	"driver and toolkit), or none"

// validateGPU checks what is said of accelerators besides their name and count.
func (s ClusterSpec) validateGPU(errs *fieldErrors) {
	stack, known := normalizeGPUStack(s.GPUStack)
	switch {
	case s.GPUStack == "":
	case !known:
		errs.addField("gpu_stack", s.GPUStack, wantStack)
	case s.Accelerators == "":
		errs.addField("gpu_stack", s.GPUStack, "only with --accelerators, such as A100:8: this cluster has none")
	case stack != GPUStackNone:
		if a, err := ParseAccelerators(s.Accelerators); err == nil && !IsNVIDIA(a.Name) {
			errs.addField("gpu_stack", s.GPUStack,
				"none: "+a.Name+" is not made by NVIDIA, whose software this installs")
		}
	}
	switch {
	case !s.GPUTaint:
	case s.Accelerators == "":
		errs.addField("gpu_taint", "true", "only with --accelerators, such as A100:8: this cluster has none")
	case s.NumNodes == 1:
		errs.addField("gpu_taint", "true", "only with --num_nodes from 2: workers are tainted, and this cluster has "+
			"none; the head stays open, for the cluster's own pods have to run somewhere")
	}
}
