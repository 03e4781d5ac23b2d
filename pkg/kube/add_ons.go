package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// uninitializedTaint is on a Node until the cloud controller has given it its addresses and its provider id
	// (k8s.io/cloud-provider/api, TaintExternalCloudProvider). Until then no usual pod runs there.
	uninitializedTaint = "node.cloudprovider.kubernetes.io/uninitialized"
	// dnsLabel has the value dnsName on RKE2's Deployment of CoreDNS (rke2-charts, rke2-coredns), and dnsChart is the
	// HelmChart from which RKE2 installs it.
	dnsLabel = "k8s-app"
	dnsName  = "kube-dns"
	dnsChart = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/rke2-coredns"
)

// maxListedNodes bounds the names of Nodes in a description.
const maxListedNodes = 3

// FindMissingAddOns returns what a cluster whose Nodes are Ready still lacks before pods run there as usual: the cloud
// controller's work on its Nodes, and the cluster's DNS. It is empty if nothing is missing. A cluster that has no
// CoreDNS, and will get none, lacks none.
func FindMissingAddOns(ctx context.Context, cs kubernetes.Interface) ([]string, error) {
	nodes, err := ListNodes(ctx, cs)
	if err != nil {
		return nil, err
	}
	var missing []string
	if waiting := describeUninitialized(nodes); waiting != "" {
		missing = append(missing, waiting)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := cs.AppsV1().Deployments(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return missing, nil
	case err != nil:
		return nil, fmt.Errorf("listing the Deployments in kube-system: %w", err)
	}
	switch dns := findDNS(list.Items); {
	case dns != nil && dns.Status.AvailableReplicas > 0:
	case dns != nil:
		missing = append(missing, "CoreDNS has no pod that is ready")
	default:
		expected, err := expectsDNS(ctx, cs)
		if err != nil {
			return nil, err
		}
		if expected {
			missing = append(missing, "CoreDNS is not installed yet")
		}
	}
	return missing, nil
}

func findDNS(deployments []appsv1.Deployment) *appsv1.Deployment {
	for i := range deployments {
		if deployments[i].Labels[dnsLabel] == dnsName {
			return &deployments[i]
		}
	}
	return nil
}

// expectsDNS reports whether RKE2 will install CoreDNS.
func expectsDNS(ctx context.Context, cs kubernetes.Interface) (bool, error) {
	err := cs.Discovery().RESTClient().Get().AbsPath(dnsChart).SetHeader("Accept", "application/json").Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the HelmChart of CoreDNS: %w", err)
	}
	return true, nil
}

// describeUninitialized names the Nodes on which the cloud controller has not worked yet; "" if there are none.
func describeUninitialized(nodes map[string]*corev1.Node) string {
	var names []string
	for name, node := range nodes {
		if slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == uninitializedTaint }) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	listed := strings.Join(names[:min(len(names), maxListedNodes)], ", ")
	if more := len(names) - maxListedNodes; more > 0 {
		listed += fmt.Sprintf(" and %d more", more)
	}
	return "the cloud controller has not initialized " + listed + " (taint " + uninitializedTaint + ")"
}
