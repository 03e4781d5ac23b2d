// Package gpustack has the activities that make a cluster's accelerators usable in Kubernetes.
package gpustack

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	"github.com/sky-shift/skyctl/pkg/gpu/stack"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// stepGPU is the step of a failure that leaves the cluster without accelerators but otherwise working.
const stepGPU = api.StepGPU

// Activities make a cluster's accelerators usable in Kubernetes.
type Activities struct {
	Store     *store.Store
	Pool      *remote.Pool
	Deadlines activities.Deadlines
	// Stack returns from where, and in which version, a kind of stack is installed.
	Stack func(kind string) chart.Stack
	// TestImage runs the test of each node's accelerators; "" uses the default of pkg/gpu.
	TestImage string
	Now       func() time.Time
}

// StackInput is the cluster that gets a GPU stack, and its machines' driver.
type StackInput struct {
	Cluster api.Ref    `json:"cluster"`
	Driver  gpu.Driver `json:"driver"`
	// Again identifies a repair, which applies an unchanged chart again. Without it the chart is only applied if it
	// changed.
	Again string `json:"again,omitempty"`
}

// probesAtOnce bounds the machines that are probed at the same time.
const probesAtOnce = 16

// ProbeGPUs reads the driver and the accelerators of every machine. It fails if machines differ, or lack accelerators.
func (a *Activities) ProbeGPUs(ctx context.Context, ref api.Ref) (StackInput, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return StackInput{}, a.gpuStepError(ctx, err)
	}
	key, err := a.Store.ReadSecret(ctx, ref, store.SecretSSHKey)
	if err != nil {
		return StackInput{}, a.gpuStepError(ctx, err)
	}
	var withGPUs []api.Machine
	for _, m := range c.Status.Machines {
		if stack.HasGPUs(c, m) {
			withGPUs = append(withGPUs, m)
		}
	}
	probed := make([]gpu.MachineDriver, len(withGPUs))
	all, probing := errgroup.WithContext(ctx)
	all.SetLimit(probesAtOnce)
	for i := range withGPUs {
		all.Go(func() error {
			m := &withGPUs[i]
			waitCtx, cancel := activities.WithDeadline(probing, a.Deadlines.Reach)
			defer cancel()
			h, err := a.Pool.AwaitHost(waitCtx, sshtarget.Of(c, m), key, func(string) {})
			if err != nil {
				return err
			}
			driver, err := gpu.ProbeDriver(waitCtx, h)
			probed[i] = gpu.MachineDriver{Machine: m.Name, Driver: driver,
				Requested: c.Spec.AcceleratorsOf(*m).Count}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return StackInput{}, a.gpuStepError(ctx, err)
	}
	driver, err := gpu.FindCommonDriver(probed)
	return StackInput{Cluster: ref, Driver: driver}, a.gpuStepError(ctx, err)
}

// ApplyGPUs labels the nodes with accelerators, by which the charts find them, and installs the stack.
func (a *Activities) ApplyGPUs(ctx context.Context, in StackInput) error {
	c, client, err := a.readClusterAndClient(ctx, in.Cluster)
	if err != nil {
		return a.gpuStepError(ctx, err)
	}
	wantedStack := a.clusterStack(c)
	for _, m := range c.Status.Machines {
		if !stack.HasGPUs(c, m) {
			continue
		}
		mark := stack.NodeMark{Kind: wantedStack.Kind, Accelerator: c.Spec.AcceleratorsOf(m).Name}
		if err := stack.MarkNode(ctx, client, m.NodeName, mark); err != nil {
			return a.gpuStepError(ctx, err)
		}
	}
	if in.Again != "" {
		err = stack.ReapplyChart(ctx, client, wantedStack, in.Driver, in.Again)
	} else {
		_, err = stack.ApplyChart(ctx, client, wantedStack, in.Driver)
	}
	if err != nil || in.Driver.Version == "" {
		return a.gpuStepError(ctx, err)
	}
	_, err = a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.Versions.GPUDriver = in.Driver.Version // a preinstalled driver is visible nowhere else
		return nil
	})
	return a.gpuStepError(ctx, err)
}

// AwaitGPUs waits until every node offers its accelerators, and records the result. It returns the nodes that were not
// tested yet.
func (a *Activities) AwaitGPUs(ctx context.Context, ref api.Ref) ([]activities.MachineRef, error) {
	c, client, err := a.readClusterAndClient(ctx, ref)
	if err != nil {
		return nil, a.gpuStepError(ctx, err)
	}
	waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.GPU)
	defer cancel()
	status, waited := stack.AwaitReady(waitCtx, client, stack.WaitOptions{
		Kind: c.Spec.GPUStack, Expected: stack.ExpectedByNode(c),
		Progress: func(s string) { activities.RecordHeartbeat(ctx, s) },
	})
	if _, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		status.UpdateClusterStatus(&c.Status, a.Now())
		return nil
	}); err != nil {
		return nil, a.gpuStepError(ctx, err)
	}
	if waited != nil {
		return nil, a.gpuStepError(ctx, waited)
	}
	nodes, err := stack.UntestedNodes(ctx, client, c)
	if err != nil {
		return nil, a.gpuStepError(ctx, err)
	}
	var refs []activities.MachineRef
	for _, m := range c.Status.Machines {
		for _, n := range nodes {
			if m.NodeName == n {
				refs = append(refs, activities.MachineRefOf(c.Ref(), m))
			}
		}
	}
	return refs, nil
}

// TryGPU runs a small workload that uses an accelerator of a node, once for each incarnation of its machine.
func (a *Activities) TryGPU(ctx context.Context, m activities.MachineRef) error {
	c, client, err := a.readClusterAndClient(ctx, m.Cluster)
	if err != nil {
		return a.gpuStepError(ctx, err)
	}
	waitCtx, cancel := activities.WithDeadline(ctx, a.Deadlines.GPU)
	defer cancel()
	return a.gpuStepError(ctx, stack.VerifyNode(waitCtx, client, stack.Workload{
		Node: m.NodeName, Incarnation: m.Incarnation, Image: cmp.Or(c.Spec.GPU.TestImage, a.TestImage),
		Stack: a.clusterStack(c),
	}, func(s string) { activities.RecordHeartbeat(ctx, s) }))
}

func (a *Activities) clusterStack(c *api.Cluster) chart.Stack {
	return a.Stack(c.Spec.GPUStack).ForSpec(c.Spec.ControlPlaneGroup())
}

func (a *Activities) readClusterAndClient(ctx context.Context, ref api.Ref) (*api.Cluster, *stack.Client, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, nil, err
	}
	client, err := activities.NewClusterClient(ctx, c, a.Store, a.Pool)
	if err != nil {
		return nil, nil, err
	}
	return c, stack.NewClient(client), nil
}

// gpuStepError is StepError for the GPU stack. It names the machine if the stack's error does.
func (a *Activities) gpuStepError(ctx context.Context, err error) error {
	machine := ""
	var f *gpu.Failure
	if errors.As(err, &f) {
		machine = f.Machine
	}
	return activities.StepError(ctx, stepGPU, machine, err)
}
