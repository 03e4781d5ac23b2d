package simcloud

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// nodeRegistry is the Nodes in a cluster's own etcd. As with RKE2, a Node is created when a unit with the head's token
// starts under a name that no other machine has taken, and each start sets the labels of the machine's configuration.
// It stays when its machine is gone, and a deleted Node returns only when the unit is restarted.
type nodeRegistry struct {
	mu    sync.Mutex
	nodes map[string]*corev1.Node
	// passwords are the secrets that reserve a name for the machine that took it first.
	passwords map[string]string
	// removed is the run of its unit during which a Node was deleted.
	removed map[string]string
	// labeled is the run of its unit that has set the labels of a Node.
	labeled map[string]string
	pods    map[string]*corev1.Pod
	budgets map[string]*policyv1.PodDisruptionBudget
	// objects stand for all that people keep in a cluster.
	objects map[string]string
}

func newNodeRegistry() *nodeRegistry {
	return &nodeRegistry{nodes: map[string]*corev1.Node{}, passwords: map[string]string{}, removed: map[string]string{},
		labeled: map[string]string{}, pods: map[string]*corev1.Pod{},
		budgets: map[string]*policyv1.PodDisruptionBudget{}, objects: map[string]string{}}
}

// member is a machine whose unit runs and is allowed to join.
type member struct {
	host                 *host
	password, invocation string
	ready                bool
}

// syncRegistry updates the registry from the machines.
func (a *apiServer) syncRegistry() {
	up := a.joinedMembers()
	r := a.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, m := range up {
		if owner, taken := r.passwords[name]; taken && owner != m.password {
			continue
		}
		if n, known := r.nodes[name]; known {
			r.relabelNode(n, m)
			continue
		}
		if run, removed := r.removed[name]; removed && run == m.invocation {
			continue
		}
		delete(r.removed, name)
		r.nodes[name], r.passwords[name], r.labeled[name] = newNode(name, m.host), m.password, m.invocation
	}
	for name, n := range r.nodes {
		setNodeReady(n, up[name].ready)
	}
}

// relabelNode sets the labels of the machine's configuration, and its password if it has none, once for each run of its
// unit.
func (r *nodeRegistry) relabelNode(n *corev1.Node, m member) {
	last, known := r.labeled[n.Name]
	if last != m.invocation {
		r.passwords[n.Name] = m.password
	}
	if known && last != m.invocation {
		labels, _ := m.host.nodeRegistration()
		for key, value := range labels {
			metav1.SetMetaDataLabel(&n.ObjectMeta, key, value)
		}
	}
	r.labeled[n.Name] = m.invocation
}

// joinedMembers returns the members by the names of their Nodes.
func (a *apiServer) joinedMembers() map[string]member {
	up := map[string]member{}
	token := a.head.readFile("/var/lib/rancher/rke2/server/agent-token")
	for _, h := range a.peers() {
		unit := unitOf(h == a.head)
		joined := h.isUnitActive(unit) && (h == a.head || h.readFile("/etc/rancher/rke2/join-token") == token &&
			h.configValue("server") == "https://"+net.JoinHostPort(a.head.address, "9345"))
		if name := h.configValue("node-name"); joined && name != "" {
			run := h.unitInvocation(unit)
			up[name] = member{host: h, password: h.nodePassword(), invocation: run,
				ready: h.isHealthyRun(run) && h.isAtConfiguredAddress()}
		}
	}
	return up
}

func unitOf(head bool) string {
	if head {
		return "rke2-server"
	}
	return "rke2-agent"
}

// newNode returns the Node that a machine registers, with the labels and taints of its configuration.
func newNode(name string, h *host) *corev1.Node {
	labels, taints := h.nodeRegistration()
	has := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("40Gi"),
	}
	now := metav1.NewTime(time.Now().UTC())
	return &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "2", CreationTimestamp: now, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: taints},
		Status: corev1.NodeStatus{
			Images:   []corev1.ContainerImage{{Names: []string{"rancher/mirrored-pause:3.6"}, SizeBytes: 1}},
			Capacity: has, Allocatable: has, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: h.installedRelease()},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue,
				Reason: "KubeletReady", LastTransitionTime: now}},
		},
	}
}

// nodeRegistration returns the labels and taints in the host's RKE2 configuration.
func (h *host) nodeRegistration() (map[string]string, []corev1.Taint) {
	var config struct {
		Labels []string `json:"node-label"`
		Taints []string `json:"node-taint"`
	}
	_ = yaml.Unmarshal([]byte(h.readFile("/etc/rancher/rke2/config.yaml")), &config) // our own, and valid
	labels := map[string]string{}
	for _, label := range config.Labels {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	var taints []corev1.Taint
	for _, taint := range config.Taints {
		rest, effect, _ := strings.Cut(taint, ":")
		key, value, _ := strings.Cut(rest, "=")
		taints = append(taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	return labels, taints
}

func setNodeReady(n *corev1.Node, ready bool) {
	c := &n.Status.Conditions[0]
	if ready == (c.Status == corev1.ConditionTrue) {
		return
	}
	c.LastTransitionTime = metav1.NewTime(time.Now().UTC())
	if ready {
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, "KubeletReady", ""
	} else {
		c.Status, c.Reason, c.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node "+
			"status."
	}
}

// listNodes returns a copy of the nodes by name, or of the named one.
func (r *nodeRegistry) listNodes(only string) []corev1.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []corev1.Node{}
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		if only == "" || only == name {
			found = append(found, *r.nodes[name].DeepCopy())
		}
	}
	return found
}

// changeNode changes a Node and returns a copy; nil if there is none.
func (r *nodeRegistry) changeNode(name string, do func(*corev1.Node)) *corev1.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[name]
	if n == nil {
		return nil
	}
	do(n)
	return n.DeepCopy()
}

// removeNode removes a Node. Its pods stay: the controller that deletes them a minute later is not here.
func (r *nodeRegistry) removeNode(name, run string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nodes[name] == nil {
		return false
	}
	delete(r.nodes, name)
	r.removed[name] = run
	return true
}

const passwordSecretSuffix = ".node-password.rke2"

// deletePasswordSecret deletes the secret of a Node's password.
func (r *nodeRegistry) deletePasswordSecret(secret string) bool {
	name, is := strings.CutSuffix(secret, passwordSecretSuffix)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.passwords[name]; !is || !there {
		return false
	}
	delete(r.passwords, name)
	return true
}

// podsOn returns the pods of a node, or all pods if none is named.
func (r *nodeRegistry) podsOn(node string) []corev1.Pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []corev1.Pod{}
	for _, key := range slices.Sorted(maps.Keys(r.pods)) {
		if p := r.pods[key]; node == "" || p.Spec.NodeName == node {
			found = append(found, *p.DeepCopy())
		}
	}
	return found
}

// passwordNodeNames returns the names of the Nodes with a stored password.
func (r *nodeRegistry) passwordNodeNames() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.passwords))
}
