package main

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const kubeletVersion = "v1.35.7+rke2r1"

// longAgo is when the clusters of a run were created.
var longAgo = metav1.Time{Time: time.Now().Add(-240 * time.Hour).Truncate(time.Second)}

// newReadyNode returns a Ready Node, about as large as an RKE2 Node that has run for some days.
func newReadyNode(name string, head bool) corev1.Node {
	has := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
		corev1.ResourceEphemeralStorage: resource.MustParse("80Gi"),
	}
	n := corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID("11111111-2222-4333-8444-" + fmt.Sprintf("%012d", len(name))),
			CreationTimestamp: longAgo,
			Labels: map[string]string{
				"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
				"node.kubernetes.io/instance-type": "rke2", "beta.kubernetes.io/os": "linux",
				"beta.kubernetes.io/arch": "amd64",
			},
			Annotations: map[string]string{
				"rke2.io/node-args": `["agent","--server","https://10.0.0.1:9345","--node-name","` + name +
					`","--token","********"]`,
				"rke2.io/node-config-hash": strings.Repeat("A", 52) + "====", "rke2.io/node-env": "{}",
				"projectcalico.org/IPv4Address": "10.0.0.2/24", "projectcalico.org/IPv4VXLANTunnelAddr": "10.42.1.0",
				"volumes.kubernetes.io/controller-managed-attach-detach": "true",
			},
			ManagedFields: newManagedFields("rke2", 3),
		},
		Spec: corev1.NodeSpec{PodCIDR: "10.42.1.0/24", PodCIDRs: []string{"10.42.1.0/24"}, ProviderID: "rke2://" +
			name},
		Status: corev1.NodeStatus{
			Capacity: has, Allocatable: has,
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.2"},
				{Type: corev1.NodeHostName, Address: name}},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: kubeletVersion, OperatingSystem: "linux",
				Architecture: "amd64",
				OSImage:      "Debian GNU/Linux 12 (bookworm)", ContainerRuntimeVersion: "containerd://2.1.4-k3s1",
				KernelVersion: "6.1.0-38-amd64",
				BootID:        "00000000-0000-4000-8000-000000000000", MachineID: strings.Repeat("0", 32),
				SystemUUID: "00000000-0000-4000-8000-000000000001",
			},
		},
	}
	if head {
		n.Labels["node-role.kubernetes.io/control-plane"], n.Labels["node-role.kubernetes.io/etcd"] = "true", "true"
	}
	for _, t := range []corev1.NodeConditionType{corev1.NodeNetworkUnavailable, corev1.NodeMemoryPressure,
		corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: t, Status: corev1.ConditionFalse, Reason: "KubeletHasEnough", Message: "kubelet has enough of it",
			LastHeartbeatTime: longAgo, LastTransitionTime: longAgo,
		})
	}
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		Message: "kubelet is posting ready status", LastHeartbeatTime: longAgo, LastTransitionTime: longAgo,
	})
	for i := range 20 {
		image := fmt.Sprintf("docker.io/rancher/mirrored-image-%02d", i)
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
			Names:     []string{image + "@sha256:" + strings.Repeat("0123456789abcdef", 4), image + ":v1.2.3"},
			SizeBytes: 50 << 20,
		})
	}
	return n
}

// setNodeReady changes the readiness of a Node.
func setNodeReady(n *corev1.Node, s corev1.ConditionStatus, reason, message string) {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.Status, c.Reason, c.Message, c.LastTransitionTime = s, reason, message, metav1.Time{Time: time.Now()}
		}
	}
}

// newNodePods returns the pods of a node: those of RKE2, and two workload pods on a worker.
func newNodePods(node string, head bool) []corev1.Pod {
	var pods []corev1.Pod
	add := func(namespace, name, owner string) {
		pods = append(pods, newRunningPod(node, namespace, fmt.Sprintf("%s-%d-%s", name, len(pods), node), owner))
	}
	for _, daemon := range []string{"rke2-canal", "kube-proxy", "rke2-ingress-nginx-controller", "node-exporter"} {
		add("kube-system", daemon, "DaemonSet")
	}
	if !head {
		add("default", "work", "ReplicaSet")
		add("default", "work", "ReplicaSet")
		return pods
	}
	for _, system := range []string{"rke2-coredns", "rke2-coredns-autoscaler", "rke2-metrics-server",
		"rke2-snapshot-controller"} {
		add("kube-system", system, "ReplicaSet")
	}
	return pods
}

// newRunningPod returns a running pod, about as large as one of an ordinary chart.
func newRunningPod(node, namespace, name, owner string) corev1.Pod {
	yes := true
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID(fmt.Sprintf("22222222-2222-4333-8444-%012x", len(name))),
			CreationTimestamp: longAgo,
			Labels: map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name,
				"pod-template-hash": "5d78c9869d"},
			Annotations: map[string]string{"checksum/config": strings.Repeat("0123456789abcdef", 4),
				"cni.projectcalico.org/podIP": "10.42.1.7/32"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: owner, Name: name,
				UID: "33333333-2222-4333-8444-000000000000", Controller: &yes}},
			ManagedFields: newManagedFields("kube-controller-manager", 2),
		},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "default", RestartPolicy: corev1.RestartPolicyAlways,
			DNSPolicy:     corev1.DNSClusterFirst,
			SchedulerName: "default-scheduler", PriorityClassName: "system-node-critical",
			Volumes: []corev1.Volume{{Name: "token",
				VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			Tolerations: []corev1.Toleration{
				{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists,
					Effect: corev1.TaintEffectNoExecute},
				{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists,
					Effect: corev1.TaintEffectNoExecute},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "10.0.0.2", PodIP: "10.42.1.7", StartTime: &longAgo,
			QOSClass: corev1.PodQOSBurstable},
	}
	for i := range 2 {
		c := corev1.Container{
			Name: fmt.Sprintf("container-%d", i), Image: "docker.io/rancher/mirrored-image:v1.2.3",
			ImagePullPolicy: corev1.PullIfNotPresent,
			Args:            []string{"--config=/etc/config/config.yaml", "--listen=:8080", "--log-level=info"},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"),
					corev1.ResourceMemory: resource.MustParse("64Mi")},
				Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "token", ReadOnly: true,
				MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
		}
		for e := range 6 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", e),
				Value: "a value of ordinary length"})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Ready: true, Image: c.Image, ImageID: c.Image + "@sha256:" +
				strings.Repeat("0123456789abcdef", 4),
			ContainerID: "containerd://" + strings.Repeat("0123456789abcdef", 4),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: longAgo}},
		})
	}
	for _, t := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized,
		corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions,
			corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: longAgo})
	}
	return p
}

// newManagedFields returns the managed fields, which are a large part of an API server's responses.
func newManagedFields(manager string, n int) []metav1.ManagedFieldsEntry {
	var all []metav1.ManagedFieldsEntry
	fields := `{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{}},"f:labels":{".":{},"f:app":{}}},` +
		`"f:spec":{` + strings.Repeat(`"f:containers":{"k:{\"name\":\"container\"}":{".":{},"f:args":{},"f:image":{},`+
		`"f:name":{},"f:resources":{}}},`, 5) + `"f:nodeName":{}}}`
	for i := range n {
		all = append(all, metav1.ManagedFieldsEntry{
			Manager: fmt.Sprintf("%s-%d", manager, i), Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1",
			Time:       &longAgo,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		})
	}
	return all
}
