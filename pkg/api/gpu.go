package api

import (
	"strings"
)

// The software that makes a cluster's accelerators available to pods.
const (
	// GPUStackOperator installs NVIDIA's GPU Operator, which installs driver, container toolkit and device plugin as
	// needed.
	GPUStackOperator = "operator"
	// GPUStackDevicePlugin installs only the device plugin, for images with driver and toolkit.
	GPUStackDevicePlugin = "device-plugin"
	// GPUStackNone installs nothing.
	GPUStackNone = "none"
)

// StepRelease is the step of a failed delete that has terminated all machines it knows, but could not confirm with the
// clouds that none is left.
const StepRelease = "confirm that nothing is left"

// StepGPU is the step of a failure that only concerns accelerators: the machines and the kubeconfig are kept.
const StepGPU = "gpu"

// NodeGPUs is how many accelerators a node should offer to pods, and how many it offers.
type NodeGPUs struct {
	Node     string `json:"node"`
	Expected int    `json:"expected"`
	Offered  int    `json:"offered"`
}

// otherVendorPrefixes begin the names of accelerators that NVIDIA's software does not support.
var otherVendorPrefixes = []string{"tpu", "trainium", "inferentia", "gaudi", "mi25", "mi50", "mi100", "mi200", "mi210",
	"mi250", "mi300", "mi325", "mi350", "mi355", "radeon"}

// IsNVIDIA reports whether the name is that of one of NVIDIA's accelerators.
func IsNVIDIA(accelerator string) bool {
	lower := strings.ToLower(accelerator)
	for _, prefix := range otherVendorPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return false
		}
	}
	return true
}

// normalizeGPUStack returns the normal form of a stack's name.
func normalizeGPUStack(name string) (string, bool) {
	switch lower := strings.ReplaceAll(strings.ToLower(name), "_", "-"); lower {
	case GPUStackOperator, GPUStackDevicePlugin, GPUStackNone:
		return lower, true
	}
	return "", false
}

// setDefaultGPUStack normalizes the stack's name, and chooses a stack if there are accelerators.
func (s *GroupSpec) setDefaultGPUStack() {
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
