package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/pkg/api"
)

// ListLocalData lists what is only on the disks of a cluster's nodes, as far as its API says: PersistentVolumes there,
// volumes of pods that are there on purpose, and pods that no controller starts again. It leaves out kube-system, whose
// data is RKE2's own.
func ListLocalData(ctx context.Context, cs kubernetes.Interface) ([]api.LocalData, error) {
	var volumes []corev1.PersistentVolume
	var pods []corev1.Pod
	for options := (metav1.ListOptions{Limit: podPageSize}); ; {
		page, err := listVolumePage(ctx, cs, options)
		if err != nil {
			return nil, fmt.Errorf("listing PersistentVolumes: %w", err)
		}
		volumes = append(volumes, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	for options := (metav1.ListOptions{Limit: podPageSize}); ; {
		page, err := listPodPage(ctx, cs, options)
		if err != nil {
			return nil, fmt.Errorf("listing pods: %w", err)
		}
		pods = append(pods, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	return findLocalData(volumes, pods), nil
}

func listVolumePage(ctx context.Context, cs kubernetes.Interface, options metav1.ListOptions) (
	*corev1.PersistentVolumeList, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return cs.CoreV1().PersistentVolumes().List(ctx, options)
}

// findLocalData returns the data of volumes and pods that is only on nodes: volumes first, then by name.
func findLocalData(volumes []corev1.PersistentVolume, pods []corev1.Pod) []api.LocalData {
	var found []api.LocalData
	for i := range volumes {
		if d := localDataOfVolume(&volumes[i]); d != nil {
			found = append(found, *d)
		}
	}
	for i := range pods {
		found = append(found, localDataOfPod(&pods[i])...)
	}
	slices.SortStableFunc(found, func(a, b api.LocalData) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace),
			strings.Compare(a.Name, b.Name))
	})
	return found
}

// localDataOfVolume returns nil for a volume that is not on a node's disk.
func localDataOfVolume(v *corev1.PersistentVolume) *api.LocalData {
	d := &api.LocalData{Kind: api.LocalVolume, Volume: v.Name, Name: v.Name, Node: pinnedNode(v)}
	switch {
	case v.Spec.Local != nil:
		d.Source = "local"
	case v.Spec.HostPath != nil:
		d.Source = "hostPath"
	default:
		return nil
	}
	if claim := v.Spec.ClaimRef; claim != nil {
		d.Namespace, d.Name = claim.Namespace, claim.Name
	}
	if size, ok := v.Spec.Capacity[corev1.ResourceStorage]; ok {
		d.Size = size.String()
	}
	return d
}

// pinnedNode is the node that a volume's affinity names; empty if it names none, or several.
func pinnedNode(v *corev1.PersistentVolume) string {
	affinity := v.Spec.NodeAffinity
	if affinity == nil || affinity.Required == nil || len(affinity.Required.NodeSelectorTerms) != 1 {
		return ""
	}
	for _, e := range affinity.Required.NodeSelectorTerms[0].MatchExpressions {
		if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn && len(e.Values) == 1 {
			return e.Values[0]
		}
	}
	return ""
}

// localDataOfPod returns the volumes of a pod that are on its node's disk on purpose: hostPath, and emptyDir where the
// pod has an identity of its own. If no controller starts the pod again, it is the pod itself.
func localDataOfPod(pod *corev1.Pod) []api.LocalData {
	if _, static := pod.Annotations[corev1.MirrorPodAnnotationKey]; static || pod.Namespace == metav1.NamespaceSystem ||
		pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	owner := metav1.GetControllerOf(pod)
	d := api.LocalData{Kind: api.LocalPodVolume, Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName}
	if owner == nil {
		d.Kind = api.LocalPod
		return []api.LocalData{d}
	}
	var found []api.LocalData
	for _, v := range pod.Spec.Volumes {
		d.Volume = v.Name
		switch {
		case v.HostPath != nil && isDirectoryOfHost(v.HostPath):
			d.Source = "hostPath " + v.HostPath.Path
		case v.EmptyDir != nil && v.EmptyDir.Medium != corev1.StorageMediumMemory && owner.Kind == "StatefulSet":
			d.Source = "emptyDir"
		default:
			continue
		}
		found = append(found, d)
	}
	return found
}

// isDirectoryOfHost is false for paths of a node that exist on every node and hold no data: sockets, devices, what the
// kernel and RKE2 have there.
func isDirectoryOfHost(v *corev1.HostPathVolumeSource) bool {
	if v.Type != nil {
		switch *v.Type {
		case corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev, corev1.HostPathFile:
			return false
		}
	}
	path := strings.TrimRight(v.Path, "/") + "/"
	return path != "/" && !slices.ContainsFunc([]string{"/dev/", "/proc/", "/sys/", "/run/", "/var/run/", "/etc/",
		"/lib/", "/usr/", "/boot/", "/var/log/", "/var/lib/kubelet/", "/var/lib/rancher/", "/opt/cni/"},
		func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}
