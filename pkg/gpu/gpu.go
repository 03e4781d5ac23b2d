// Package gpu probes machines for NVIDIA's driver and names what can go wrong with their accelerators. Its subpackages
// render the chart of the GPU stack and install it.
package gpu

import (
	"fmt"
	"strings"
)

// FieldManager is under which name we own what we apply.
const FieldManager = "skyctl"

// ResourceName is under which name the device plugin offers accelerators.
const ResourceName = "nvidia.com/gpu"

// The reasons of a Failure.
const (
	// DriverDiffers: some machines have a driver and others have none.
	DriverDiffers = "DriverDiffers"
	// DriverMissing: the stack that was chosen needs machines with a driver, and they have none.
	DriverMissing = "DriverMissing"
	// DriverBroken: a machine has NVIDIA's driver, and it does not work.
	DriverBroken = "DriverBroken"
	// GPUMissing: a machine shows fewer accelerators than were asked for.
	GPUMissing = "GPUMissing"
	// SecondDevicePlugin: somebody else's device plugin is on the cluster.
	SecondDevicePlugin = "SecondDevicePlugin"
	// ChartUnreachable: the repository can't be reached from the cluster.
	ChartUnreachable = "ChartUnreachable"
	// BadChartVersion: the repository has no such version of the chart.
	BadChartVersion = "BadChartVersion"
	// ChartFailed: the chart was found and can't be installed.
	ChartFailed = "ChartFailed"
	// PodFailing: a container of the stack keeps failing.
	PodFailing = "PodFailing"
	// AllocatableMissing: the stack says that it is ready, and a node offers fewer accelerators than it should.
	AllocatableMissing = "AllocatableMissing"
	// NodeNotReady: a node that should offer accelerators is not Ready, or not there: what is wrong is not the stack.
	NodeNotReady = "NodeNotReady"
	// Deadline: the stack was not ready in time, and nothing in it has failed.
	Deadline = "Deadline"
	// WorkloadFailed: a pod got an accelerator and ended badly.
	WorkloadFailed = "WorkloadFailed"
	// WorkloadPending: a pod that asks for an accelerator found no room in time.
	WorkloadPending = "WorkloadPending"
)

// Failure says why accelerators can't be had, as exactly as it is known.
type Failure struct {
	Kind string
	// Machine is named where the fault was seen over SSH; Node where it was seen through Kubernetes.
	Machine, Node string
	// DaemonSet, Pod and Container are namespace/name of what failed, and the container's name.
	DaemonSet, Pod, Container string
	Message                   string
	// Lines holds the last lines of what failed.
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

// Reason is the failure's kind.
func (f *Failure) Reason() string { return f.Kind }

// Log returns the last lines of what failed.
func (f *Failure) Log() []string { return f.Lines }

// Final is true: this package has waited long enough.
func (f *Failure) Final() bool { return true }

// HasSameSubject says that two failures are about one thing, whatever they say of it.
func (f *Failure) HasSameSubject(o *Failure) bool {
	if o == nil {
		return false
	}
	if f.isChartFailure() && o.isChartFailure() { // one pod after the other tries to install it
		return true
	}
	return f.Kind == o.Kind && f.DaemonSet == o.DaemonSet && f.Pod == o.Pod && f.Container == o.Container &&
		f.Node == o.Node
}

func (f *Failure) isChartFailure() bool {
	return f.Kind == ChartFailed || f.Kind == ChartUnreachable || f.Kind == BadChartVersion
}

// AbbreviateList lists the first names of many.
func AbbreviateList(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
