// Package gpu probes machines for NVIDIA's driver and defines the failures of accelerators. Its subpackages render the
// chart of the GPU stack and install it.
package gpu

import (
	"fmt"
	"strings"
)

// FieldManager is the field manager of everything that skyctl applies.
const FieldManager = "skyctl"

// ResourceName is the resource name of NVIDIA GPUs.
const ResourceName = "nvidia.com/gpu"

// The reasons of a Failure.
const (
	// DriverDiffers: some machines have a driver and others have none.
	DriverDiffers = "DriverDiffers"
	// DriverMissing: the chosen stack needs machines with a driver, and they have none.
	DriverMissing = "DriverMissing"
	// DriverBroken: the driver of a machine does not work.
	DriverBroken = "DriverBroken"
	// GPUMissing: a machine shows fewer accelerators than requested.
	GPUMissing = "GPUMissing"
	// SecondDevicePlugin: the cluster has a device plugin that is not part of the stack.
	SecondDevicePlugin = "SecondDevicePlugin"
	// ChartUnreachable: the cluster cannot reach the repository.
	ChartUnreachable = "ChartUnreachable"
	// BadChartVersion: the repository has no such version of the chart.
	BadChartVersion = "BadChartVersion"
	// ChartFailed: the chart was found but cannot be installed.
	ChartFailed = "ChartFailed"
	// PodFailing: a container of the stack keeps failing.
	PodFailing = "PodFailing"
	// AllocatableMissing: the stack is ready, but a node offers too few accelerators.
	AllocatableMissing = "AllocatableMissing"
	// NodeNotReady: a node that should offer accelerators is missing or not Ready. The stack is not at fault.
	NodeNotReady = "NodeNotReady"
	// Deadline: the stack was not ready in time, but no part of it has failed.
	Deadline = "Deadline"
	// WorkloadFailed: a pod got an accelerator and failed.
	WorkloadFailed = "WorkloadFailed"
	// WorkloadPending: a pod that requests an accelerator was not scheduled or did not finish in time.
	WorkloadPending = "WorkloadPending"
)

// Failure is why accelerators are unavailable, as precisely as it is known.
type Failure struct {
	Kind string
	// Machine is set if the fault was found over SSH, Node if it was found through Kubernetes.
	Machine, Node string
	// DaemonSet and Pod are namespace/name of what failed.
	DaemonSet, Pod, Container string
	Message                   string
	// Lines are the last lines of its log.
	Lines []string
	Cause error
}

func (f *Failure) Error() string {
	var where []string
	for _, part := range []struct{ kind, name string }{
		{"machine", f.Machine}, {"DaemonSet", f.DaemonSet}, {"node", f.Node}, {"pod", f.Pod},
		{"container", f.Container},
	} {
		if part.name != "" {
			where = append(where, part.kind+" "+part.name)
		}
	}
	if len(where) == 0 {
		return f.Message
	}
	return strings.Join(where, ", ") + ": " + f.Message
}

func (f *Failure) Unwrap() error { return f.Cause }

// Reason returns the kind of the failure.
func (f *Failure) Reason() string { return f.Kind }

// Log returns the last lines of the failed part's log.
func (f *Failure) Log() []string { return f.Lines }

// Final is true, because this package has already waited and retried.
func (f *Failure) Final() bool { return true }

// HasSameSubject reports whether two failures are about the same part, even if their messages differ.
func (f *Failure) HasSameSubject(o *Failure) bool {
	if o == nil {
		return false
	}
	if f.isChartFailure() && o.isChartFailure() { // each attempt to install it has its own pod
		return true
	}
	return f.Kind == o.Kind && f.DaemonSet == o.DaemonSet && f.Pod == o.Pod && f.Container == o.Container &&
		f.Node == o.Node
}

func (f *Failure) isChartFailure() bool {
	return f.Kind == ChartFailed || f.Kind == ChartUnreachable || f.Kind == BadChartVersion
}

// AbbreviateList lists the first names, and counts the rest.
func AbbreviateList(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
