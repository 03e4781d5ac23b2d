package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sky-shift/skyctl/test/kubeapi"
)

func TestLocalDataIsListedByARealAPIServer(t *testing.T) {
	cs, err := NewClient(kubeapi.StartServer(t).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}}
	pv.Spec = corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
		PersistentVolumeSource: corev1.PersistentVolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/srv/data"}},
	}
	if _, err := cs.CoreV1().PersistentVolumes().Create(t.Context(), pv, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if _, err := cs.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	no := false
	pod := podWith("shop", "db-0", "", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "u-1",
		Controller: new(bool)}}
	*pod.OwnerReferences[0].Controller = true
	pod.Spec.AutomountServiceAccountToken = &no
	pod.Spec.Containers = []corev1.Container{{Name: "db", Image: "db"}}
	if _, err := cs.CoreV1().Pods("shop").Create(t.Context(), &pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := ListLocalData(t.Context(), cs)
	if err != nil || len(got) != 2 || got[0].String() != "PersistentVolume pv-1 (hostPath, 10Gi)" ||
		got[1].String() != "volume data of pod shop/db-0 (emptyDir) on sky-dev-1" {
		t.Errorf("%v, %v", got, err)
	}
}
