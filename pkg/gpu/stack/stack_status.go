package stack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/redact"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Status is what a cluster shows of its GPU stack at one time.
type Status struct {
	Kind string
	// Policy is the state of the operator's ClusterPolicy, such as "ready" or "notReadyReason"; empty where there is
	// none.
	Policy string
	// DaemonSets are those of the stack.
	DaemonSets []DaemonSet
	// Nodes are those that should offer accelerators, by name.
	Nodes []api.NodeGPUs
	// Versions has the GPU fields alone.
	Versions api.Versions
	// Trouble is what is wrong with the stack, as far as it shows; it may pass by itself. Its log is not read yet.
	Trouble *gpu.Failure
	// down is the first node that should offer accelerators and is not Ready; nil where there is none.
	down *gpu.Failure
}

// DaemonSet is one part of a stack, and on how many of its nodes it is ready.
type DaemonSet struct {
	Name           string
	Desired, Ready int
	// Stale says that the counts are those of before its last change.
	Stale bool
}

// ReadStatus asks a cluster how its GPU stack is. expected is how many accelerators each node should offer, by the
// node's name; a node that is not there offers none.
func ReadStatus(ctx context.Context, c *Client, kind string, expected map[string]int) (Status, error) {
	st := Status{Kind: kind}
	own, foreign, err := listDaemonSets(ctx, c, kind)
	if err != nil {
		return st, err
	}
	nodes, err := kube.ListNodes(ctx, c.core)
	if err != nil {
		return st, err
	}
	for _, ds := range own {
		st.DaemonSets = append(st.DaemonSets,
			DaemonSet{Name: ds.Name, Desired: int(ds.Status.DesiredNumberScheduled), Ready: int(ds.Status.NumberReady),
				Stale: ds.Status.ObservedGeneration < ds.Generation})
	}
	for _, node := range slices.Sorted(maps.Keys(expected)) {
		st.Nodes = append(st.Nodes, api.NodeGPUs{Node: node, Expected: expected[node],
			Offered: offeredGPUs(nodes[node])})
		if why := notReadyReason(nodes[node]); why != "" && st.down == nil {
			st.down = &gpu.Failure{Kind: gpu.NodeNotReady, Node: node,
				Message: why + "; nothing of the stack can come up there"}
		}
	}
	if kind == api.GPUStackNone {
		return st, nil
	}
	if kind == api.GPUStackOperator {
		policy, err := readClusterPolicy(ctx, c)
		if err != nil {
			return st, err
		}
		if policy != nil {
			st.Policy, _, _ = unstructured.NestedString(policy.Object, "status", "state")
		}
	}
	helmChart, err := readChart(ctx, c, chart.NameOf(kind))
	if err != nil {
		return st, err
	}
	st.Versions = stackVersions(helmChart, own, nodes, expected)
	if st.Trouble = foreignPluginFailure(foreign); st.Trouble == nil {
		st.Trouble, err = findTrouble(ctx, c, kind, helmChart)
	}
	return st, err
}

// notReadyReason is why a node is not Ready; empty where it is, or does not say.
func notReadyReason(n *corev1.Node) string {
	if n == nil {
		return "it is not in the cluster"
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return strings.TrimSpace(fmt.Sprintf("it is not Ready (%s) %s", c.Reason, c.Message))
		}
	}
	return ""
}

func offeredGPUs(n *corev1.Node) int {
	if n == nil {
		return 0
	}
	q := n.Status.Allocatable[gpu.ResourceName]
	return int(q.Value())
}

// stackVersions of the parts of a stack. GPU Feature Discovery labels nodes with the version of their driver; where it
// does not run, the image of the driver's DaemonSet has it, and where the driver came with the machine only the probe
// knows.
func stackVersions(helmChart *unstructured.Unstructured, own []appsv1.DaemonSet, nodes map[string]*corev1.Node,
	expected map[string]int) api.Versions {
	var v api.Versions
	if helmChart != nil && helmChart.GetName() == chart.OperatorName {
		v.GPUOperator, _, _ = unstructured.NestedString(helmChart.Object, "spec", "version")
	}
	for i := range own {
		ds := &own[i]
		switch {
		case isDevicePlugin(ds):
			v.GPUPlugin = imageTag(ds, func(c string) bool { return strings.Contains(c, "device-plugin") })
		case strings.HasPrefix(ds.Name, "nvidia-driver-daemonset"):
			v.GPUDriver = imageTag(ds, func(c string) bool { return strings.Contains(c, "driver") })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if n := nodes[name]; n != nil {
			if full := driverVersionFromLabels(n.Labels); full != "" {
				v.GPUDriver = full
				break
			}
		}
	}
	return v
}

// driverVersionFromLabels is the driver's version as GPU Feature Discovery writes it
// (https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery#generated-labels).
func driverVersionFromLabels(labels map[string]string) string {
	if full := labels["nvidia.com/cuda.driver-version.full"]; full != "" {
		return full
	}
	var parts []string
	for _, key := range []string{"nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor",
		"nvidia.com/cuda.driver.rev"} {
		if labels[key] != "" {
			parts = append(parts, labels[key])
		}
	}
	return strings.Join(parts, ".")
}

// imageTag is that of the image of the container which is meant, or of the first where none is.
func imageTag(ds *appsv1.DaemonSet, meant func(container string) bool) string {
	containers := ds.Spec.Template.Spec.Containers
	if len(containers) == 0 {
		return ""
	}
	i := max(0, slices.IndexFunc(containers, func(c corev1.Container) bool { return meant(c.Name) }))
	image, _, _ := strings.Cut(containers[i].Image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	_, t, _ := strings.Cut(image, ":")
	return t
}

// nodesMissingGPUs are the nodes that offer fewer accelerators than they should.
func (s Status) nodesMissingGPUs() []api.NodeGPUs {
	var short []api.NodeGPUs
	for _, n := range s.Nodes {
		if n.Offered < n.Expected {
			short = append(short, n)
		}
	}
	return short
}

// isSettled says that the stack itself has come up, whatever nodes offer.
func (s Status) isSettled() bool { return s.unsettledParts() == "" }

// unsettledParts is what of the stack has yet to come up.
func (s Status) unsettledParts() string {
	switch {
	case s.Kind == api.GPUStackNone:
		return ""
	case s.Kind == api.GPUStackOperator && s.Policy == "":
		return "the GPU Operator is not installed yet"
	case s.Kind == api.GPUStackDevicePlugin && len(s.DaemonSets) == 0:
		return "the device plugin is not installed yet"
	}
	var parts, behind []string
	if s.Kind == api.GPUStackOperator && s.Policy != "ready" {
		parts = append(parts, "the GPU Operator's policy is "+s.Policy)
	}
	for _, ds := range s.DaemonSets {
		if ds.Stale || ds.Ready < ds.Desired {
			behind = append(behind, fmt.Sprintf("%s %d/%d", ds.Name, ds.Ready, ds.Desired))
		}
	}
	if len(behind) > 0 {
		parts = append(parts, "DaemonSets on fewer nodes than they should be: "+gpu.AbbreviateList(behind))
	}
	return strings.Join(parts, ", ")
}

// IsReady says that the stack is up and every node offers what it should. A ready policy alone proves nothing: it is so
// on a cluster where no node was found to have accelerators too.
func (s Status) IsReady() bool {
	return s.isSettled() && len(s.nodesMissingGPUs()) == 0 &&
		(s.Trouble == nil || s.Trouble.Kind != gpu.SecondDevicePlugin)
}

// SummaryLine says in one line how far the stack has come.
func (s Status) SummaryLine() string {
	has, want := 0, 0
	for _, n := range s.Nodes {
		has, want = has+min(n.Offered, n.Expected), want+n.Expected
	}
	line := fmt.Sprintf("%d of %d GPUs are offered", has, want)
	if waiting := s.unsettledParts(); waiting != "" {
		line += "; " + waiting
	}
	return line
}

// ToCondition is GPUReady as this status has it.
func (s Status) ToCondition() api.Condition {
	c := api.Condition{Type: api.GPUReady, Status: api.ConditionFalse, Message: s.SummaryLine()}
	short := s.nodesMissingGPUs()
	switch {
	case s.IsReady():
		c.Status, c.Reason = api.ConditionTrue, "Ready"
	case s.Trouble != nil:
		c.Reason, c.Message = s.Trouble.Kind, s.Trouble.Error()
	case !s.isSettled():
		c.Reason = "NotReady"
	default:
		c.Reason, c.Message = gpu.AllocatableMissing, s.describeShortage(short)
	}
	return c
}

func (s Status) describeShortage(short []api.NodeGPUs) string {
	var lines []string
	for _, n := range short {
		lines = append(lines, fmt.Sprintf("node %s offers %d of %d", n.Node, n.Offered, n.Expected))
	}
	return gpu.AbbreviateList(lines)
}

// UpdateClusterStatus writes what was seen into a cluster's status: the condition, the versions, and what each node
// offers. A version that does not show stays as it was: the driver's is known from the probe where it came with the
// machines.
func (s Status) UpdateClusterStatus(to *api.ClusterStatus, now time.Time) {
	condition := s.ToCondition()
	condition.Message = redact.Text(condition.Message) // it may quote what a pod said
	to.SetCondition(condition, now)
	to.GPUs = s.Nodes
	v := &to.Versions
	v.GPUOperator = cmp.Or(s.Versions.GPUOperator, v.GPUOperator)
	v.GPUDriver = cmp.Or(s.Versions.GPUDriver, v.GPUDriver)
	v.GPUPlugin = cmp.Or(s.Versions.GPUPlugin, v.GPUPlugin)
}
