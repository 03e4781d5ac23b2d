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

// Status is the state of a GPU stack on a cluster.
type Status struct {
	Kind string
	// Policy is the state of the operator's ClusterPolicy, such as "ready" or "notReady"; empty if there is none.
	Policy string
	// DaemonSets are those of the stack.
	DaemonSets []DaemonSet
	// Nodes are the nodes that should offer accelerators, by name.
	Nodes []api.NodeGPUs
	// Versions has only the GPU fields set.
	Versions api.Versions
	// Trouble is what is wrong with the stack, without its log. It can pass.
	Trouble *gpu.Failure
	// down is set if a node that should offer accelerators is not Ready; it names the first one.
	down *gpu.Failure
}

// DaemonSet is one part of a stack, with the number of nodes on which it should run and is ready.
type DaemonSet struct {
	Name           string
	Desired, Ready int
	// Stale means that the counts are older than the last change of the DaemonSet.
	Stale bool
}

// ReadStatus reads the state of a GPU stack. expected is the number of accelerators that each node should offer, by
// node name. A node that does not exist offers none.
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
				Message: why + "; the GPU stack cannot start on this node"}
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

// notReadyReason returns why a node is not Ready; empty if it is Ready or has not reported its status.
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

// stackVersions returns the versions of the stack's parts. The driver's comes from the labels of GPU Feature Discovery,
// or from the image of the driver's DaemonSet. If the driver is part of the machine image, only the probe knows it.
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
			if version := driverVersionFromLabels(n.Labels); version != "" {
				v.GPUDriver = version
				break
			}
		}
	}
	return v
}

// driverVersionFromLabels returns the driver version from the labels of GPU Feature Discovery
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

// imageTag returns the image tag of the first container whose name matches, or of the first container.
func imageTag(ds *appsv1.DaemonSet, matches func(container string) bool) string {
	containers := ds.Spec.Template.Spec.Containers
	if len(containers) == 0 {
		return ""
	}
	i := max(0, slices.IndexFunc(containers, func(c corev1.Container) bool { return matches(c.Name) }))
	image, _, _ := strings.Cut(containers[i].Image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	_, tag, _ := strings.Cut(image, ":")
	return tag
}

// nodesMissingGPUs returns the nodes that offer too few accelerators.
func (s Status) nodesMissingGPUs() []api.NodeGPUs {
	var short []api.NodeGPUs
	for _, n := range s.Nodes {
		if n.Offered < n.Expected {
			short = append(short, n)
		}
	}
	return short
}

// isSettled reports whether all parts of the stack are ready, whatever the nodes offer.
func (s Status) isSettled() bool { return s.unsettledParts() == "" }

// unsettledParts describes the parts of the stack that are not ready.
func (s Status) unsettledParts() string {
	switch {
	case s.Kind == api.GPUStackNone:
		return ""
	case s.Kind == api.GPUStackOperator && s.Policy == "":
		return "the GPU Operator is not installed yet"
	case s.Kind == api.GPUStackDevicePlugin && len(s.DaemonSets) == 0:
		return "the device plugin is not installed yet"
	}
	var parts, notReady []string
	if s.Kind == api.GPUStackOperator && s.Policy != "ready" {
		parts = append(parts, "the ClusterPolicy of the GPU Operator is "+s.Policy)
	}
	for _, ds := range s.DaemonSets {
		if ds.Stale || ds.Ready < ds.Desired {
			notReady = append(notReady, fmt.Sprintf("%s %d/%d", ds.Name, ds.Ready, ds.Desired))
		}
	}
	if len(notReady) > 0 {
		parts = append(parts, "DaemonSets not ready on all nodes: "+gpu.AbbreviateList(notReady))
	}
	return strings.Join(parts, ", ")
}

// IsReady reports whether the stack is ready and every node offers its accelerators. A ready ClusterPolicy is not
// enough: it is also ready if the operator found no accelerators.
func (s Status) IsReady() bool {
	return s.isSettled() && len(s.nodesMissingGPUs()) == 0 &&
		(s.Trouble == nil || s.Trouble.Kind != gpu.SecondDevicePlugin)
}

// SummaryLine describes the progress of the stack in one line.
func (s Status) SummaryLine() string {
	offered, expected := 0, 0
	for _, n := range s.Nodes {
		offered, expected = offered+min(n.Offered, n.Expected), expected+n.Expected
	}
	line := fmt.Sprintf("%d of %d GPUs are offered", offered, expected)
	if waiting := s.unsettledParts(); waiting != "" {
		line += "; " + waiting
	}
	return line
}

// ToCondition returns the condition GPUReady for this status.
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

// UpdateClusterStatus writes the condition, the versions, and the accelerators of each node into a cluster's status. It
// keeps versions that the stack does not show, such as that of a driver which is part of the machine image.
func (s Status) UpdateClusterStatus(to *api.ClusterStatus, now time.Time) {
	condition := s.ToCondition()
	condition.Message = redact.Text(condition.Message) // it may quote a pod
	to.SetCondition(condition, now)
	to.GPUs = s.Nodes
	v := &to.Versions
	v.GPUOperator = cmp.Or(s.Versions.GPUOperator, v.GPUOperator)
	v.GPUDriver = cmp.Or(s.Versions.GPUDriver, v.GPUDriver)
	v.GPUPlugin = cmp.Or(s.Versions.GPUPlugin, v.GPUPlugin)
}
