package stack

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pluginDir is the end of the directory in which device plugins register with the kubelet. The kubelet's own directory
// can differ.
const pluginDir = "/device-plugins"

// isDevicePlugin reports whether a DaemonSet is a device plugin for NVIDIA's accelerators, of any origin. A DaemonSet
// with the plugin's image that does not register with the kubelet, such as GPU Feature Discovery, is not.
func isDevicePlugin(ds *appsv1.DaemonSet) bool {
	spec := &ds.Spec.Template.Spec
	registers := slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return v.HostPath != nil && strings.HasSuffix(strings.TrimSuffix(v.HostPath.Path, "/"), pluginDir)
	})
	if !registers {
		return false
	}
	names := []string{ds.Name}
	for _, labels := range []map[string]string{ds.Labels, ds.Spec.Template.Labels} {
		for _, key := range []string{"app", "name", "k8s-app", "app.kubernetes.io/name"} {
			names = append(names, labels[key])
		}
	}
	for _, c := range spec.Containers {
		names = append(names, c.Image)
	}
	return slices.ContainsFunc(names, func(s string) bool { return strings.Contains(strings.ToLower(s), "nvidia") })
}

// belongsToStack reports whether a DaemonSet was created by the chart of a stack or by the operator that it installs.
func belongsToStack(ds *appsv1.DaemonSet, kind string) bool {
	if ds.Namespace != chart.NamespaceOf(kind) {
		return false
	}
	if kind == api.GPUStackOperator && slices.ContainsFunc(ds.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.Kind == "ClusterPolicy" || o.Kind == "NVIDIADriver"
	}) {
		return true
	}
	return ds.Annotations["meta.helm.sh/release-name"] == chart.NameOf(kind)
}

// listDaemonSets returns the DaemonSets of a stack, and the device plugins that are not part of it.
func listDaemonSets(ctx context.Context, c *Client, kind string) (own, foreign []appsv1.DaemonSet, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.core.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the cluster's DaemonSets: %w", err)
	}
	for _, ds := range list.Items {
		switch {
		case belongsToStack(&ds, kind):
			own = append(own, ds)
		case isDevicePlugin(&ds):
			foreign = append(foreign, ds)
		case ds.Namespace == chart.NamespaceOf(kind):
			own = append(own, ds) // such as Node Feature Discovery
		}
	}
	return own, foreign, nil
}

// foreignPluginFailure returns the failure for the first foreign device plugin, or nil.
func foreignPluginFailure(foreign []appsv1.DaemonSet) *gpu.Failure {
	if len(foreign) == 0 {
		return nil
	}
	ds := foreign[0]
	name := ds.Namespace + "/" + ds.Name
	var images []string
	for _, c := range ds.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	return &gpu.Failure{Kind: gpu.SecondDevicePlugin, DaemonSet: name, Message: fmt.Sprintf(
		"a device plugin for NVIDIA GPUs that is not part of the GPU stack (%s); two device plugins break each other: "+
			"remove it and its owner (kubectl -n %s delete daemonset %s), or create the cluster with "+
			"--gpu_stack none",
		strings.Join(images, ", "), ds.Namespace, ds.Name)}
}
