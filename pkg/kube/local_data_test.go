package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podWith returns a pod of a controller, or of none if the kind is empty, with a volume.
func podWith(namespace, name, controller string, v corev1.VolumeSource) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	pod.Spec.NodeName = "sky-dev-1"
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: v}}
	if controller != "" {
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: controller, Name: "owner", Controller: &yes}}
	}
	return pod
}

func hostPath(path string, kind corev1.HostPathType) corev1.VolumeSource {
	return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}}
}

func TestLocalDataIsFound(t *testing.T) {
	emptyDir := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	inMemory := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}
	local := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}}
	local.Spec.Local = &corev1.LocalVolumeSource{Path: "/mnt/ssd"}
	local.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "shop", Name: "data-db-0"}
	local.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}
	local.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"sky-dev-2"}}}}}}}
	unclaimed := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-2"}}
	unclaimed.Spec.HostPath = &corev1.HostPathVolumeSource{Path: "/srv"}
	remote := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-3"}}
	remote.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "ebs.csi.aws.com"}
	static := podWith("default", "static", "Node", hostPath("/srv/data", ""))
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	done := podWith("default", "done", "", emptyDir)
	done.Status.Phase = corev1.PodSucceeded

	got := findLocalData([]corev1.PersistentVolume{remote, unclaimed, local}, []corev1.Pod{
		podWith("shop", "db-0", "StatefulSet", emptyDir),
		podWith("shop", "cache-0", "StatefulSet", inMemory),
		podWith("shop", "web-x", "ReplicaSet", emptyDir), // it does not outlive a pod that is replaced
		podWith("shop", "files-x", "ReplicaSet", hostPath("/srv/files", corev1.HostPathDirectoryOrCreate)),
		podWith("shop", "agent-x", "DaemonSet", hostPath("/var/run/docker.sock", "")),
		podWith("shop", "probe-x", "DaemonSet", hostPath("/srv/probe.sock", corev1.HostPathSocket)),
		podWith("shop", "root-x", "DaemonSet", hostPath("/", "")),
		podWith("shop", "alone", "", emptyDir),
		podWith("kube-system", "etcd", "ReplicaSet", hostPath("/srv/data", "")),
		static, done,
	})
	want := []string{
		"PersistentVolume pv-2 (hostPath)",
		"PersistentVolume pv-1 of claim shop/data-db-0 (local, 10Gi) on sky-dev-2",
		"pod shop/alone (no controller starts it again) on sky-dev-1",
		"volume data of pod shop/db-0 (emptyDir) on sky-dev-1",
		"volume data of pod shop/files-x (hostPath /srv/files) on sky-dev-1",
	}
	for i, d := range got {
		if i >= len(want) || d.String() != want[i] {
			t.Errorf("%d: got %q", i, d)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d, want %d", len(got), len(want))
	}
}
