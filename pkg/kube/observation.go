package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	resourcehelper "k8s.io/component-helpers/resource"
)

// gpuResource is the resource name of NVIDIA GPUs.
const gpuResource = corev1.ResourceName("nvidia.com/gpu")

// Observation is the state of a cluster as its API reports it.
type Observation struct {
	// Nodes are indexed by name.
	Nodes     map[string]NodeObservation
	Resources api.Resources
	// Unmeasured is why pods could not be listed although nodes could. Resources, and the pods of nodes,
	// are then meaningless.
	Unmeasured error
	// Versions are those of the head.
	Versions api.Versions
}

// NodeObservation is the state of a Node.
type NodeObservation struct {
	Ready bool
	// Why is the reason if it is not Ready.
	Why string
	// Pressure names what keeps pods off a Ready node, such as DiskPressure.
	Pressure string
	// Since is when its readiness last changed, by the clock of the cluster.
	Since    time.Time
	Cordoned bool
	// Deleting: its deletion was requested, and finalizers keep it.
	Deleting bool
	// Kubelet is the version of its kubelet.
	Kubelet string
	// GPUs is the number of allocatable GPUs.
	GPUs int
	// Pods is the number of pods that a drain would evict. It is meaningless if the cluster is Unmeasured.
	Pods int
	// Labels and Taints are all that it has. A taint has the form KEY=VALUE:EFFECT or KEY:EFFECT.
	Labels map[string]string
	Taints []string
}

// ObserveCluster returns the state of a cluster's nodes, and the total and available resources of the nodes of these
// machines. The total is the capacity, at most what the cloud reports; available is allocatable less the requests of
// pods that run or will run there. Memory and disk are in GiB. acceleratorsOf returns the accelerators that a machine
// was requested with. A machine without a node adds nothing.
func ObserveCluster(ctx context.Context, cs kubernetes.Interface, machines []api.Machine,
	acceleratorsOf func(api.Machine) api.Accelerators) (Observation, error) {
	nodes, err := ListNodes(ctx, cs)
	if err != nil {
		return Observation{}, err
	}
	// Listing many thousands of pods can exceed the timeout although the API is healthy.
	pods, unmeasured := sumPodsByNode(ctx, cs)
	seen := Observation{Nodes: make(map[string]NodeObservation, len(nodes)), Unmeasured: unmeasured}
	for name, n := range nodes {
		node := toNodeObservation(n)
		node.Pods = pods[name].evictable
		seen.Nodes[name] = node
	}
	for _, m := range machines {
		node, ok := nodes[m.NodeName]
		if !ok {
			continue
		}
		seen.addMachineNode(node, pods[m.NodeName].requests, m, acceleratorsOf(m).Name)
		if m.Role == api.RoleHead {
			kubelet := node.Status.NodeInfo.KubeletVersion
			// RKE2 appends its own part after the plus sign.
			kubernetesVersion, _, _ := strings.Cut(kubelet, "+")
			seen.Versions = api.Versions{RKE2: kubelet, Kubernetes: kubernetesVersion}
		}
	}
	return seen, nil
}

// addMachineNode adds the resources of a machine's node.
func (s *Observation) addMachineNode(node *corev1.Node, used corev1.ResourceList, m api.Machine, accelerator string) {
	sum := &s.Resources
	addAmount(&sum.CPUs, nodeAmount(node, used, corev1.ResourceCPU, 1, m.CPUs))
	addAmount(&sum.Memory, nodeAmount(node, used, corev1.ResourceMemory, gib, m.MemoryGiB))
	addAmount(&sum.Disk, nodeAmount(node, used, corev1.ResourceEphemeralStorage, gib, m.Placement.DiskGiB))
	if accelerator == "" {
		return
	}
	if sum.Accelerators == nil {
		sum.Accelerators = map[string]api.Amount{}
	}
	a := sum.Accelerators[accelerator]
	addAmount(&a, nodeAmount(node, used, gpuResource, 1, 0))
	sum.Accelerators[accelerator] = a
}

func toNodeObservation(n *corev1.Node) NodeObservation {
	seen := NodeObservation{Cordoned: n.Spec.Unschedulable, Deleting: n.DeletionTimestamp != nil,
		Kubelet: n.Status.NodeInfo.KubeletVersion,
		Since:   n.CreationTimestamp.Time, Labels: n.Labels, Taints: formatTaints(n.Spec.Taints)}
	seen.Ready, seen.Why = nodeReadiness(n)
	seen.Pressure = nodePressure(n)
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			seen.Since = c.LastTransitionTime.Time
		}
	}
	if seen.Labels == nil {
		seen.Labels = map[string]string{} // that it has none was read
	}
	seen.GPUs = int(toFloat(n.Status.Allocatable[gpuResource]))
	return seen
}

const gib = 1 << 30

func addAmount(to *api.Amount, a api.Amount) {
	to.Available += a.Available
	to.Total += a.Total
}

// nodeAmount returns the amount of one resource of a node; a limit of 0 means no limit.
func nodeAmount(node *corev1.Node, used corev1.ResourceList, name corev1.ResourceName, unit, limit float64) api.Amount {
	total := toFloat(node.Status.Capacity[name]) / unit
	allocatable := toFloat(node.Status.Allocatable[name]) / unit
	if limit > 0 {
		total, allocatable = min(total, limit), min(allocatable, limit)
	}
	return api.Amount{Available: max(0, allocatable-toFloat(used[name])/unit), Total: total}
}

func toFloat(q resource.Quantity) float64 { return q.AsApproximateFloat64() }

// podPageSize is the number of pods per page of a list.
const podPageSize = 500

// podSum is about the pods of one node that have not ended.
type podSum struct {
	requests  corev1.ResourceList
	evictable int
}

// sumPodsByNode sums up the pods that have not ended, by the node they are bound to.
func sumPodsByNode(ctx context.Context, cs kubernetes.Interface) (map[string]podSum, error) {
	sums := map[string]podSum{}
	options := metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed", Limit: podPageSize}
	for {
		page, err := listPodPage(ctx, cs, options)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			p := &page.Items[i]
			if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
				continue
			}
			sum := sums[p.Spec.NodeName]
			if sum.requests == nil {
				sum.requests = corev1.ResourceList{}
			}
			addQuantities(sum.requests, podRequests(p))
			if IsEvictable(p) {
				sum.evictable++
			}
			sums[p.Spec.NodeName] = sum
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return sums, nil
		}
	}
}

func listPodPage(ctx context.Context, cs kubernetes.Interface, options metav1.ListOptions) (*corev1.PodList, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := cs.CoreV1().Pods(metav1.NamespaceAll).List(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("listing the cluster's pods: %w", err)
	}
	return page, nil
}

// podRequests returns what the scheduler counts for a pod.
func podRequests(pod *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
}

func addQuantities(to, list corev1.ResourceList) {
	for name, q := range list {
		sum := to[name].DeepCopy()
		sum.Add(q)
		to[name] = sum
	}
}
