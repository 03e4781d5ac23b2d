package chart

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sky-shift/skyctl/test/kubeapi"
)

// resources are the paths of the kinds that the chart has.
var resources = map[string]string{
	"Deployment":            "/apis/apps/v1/namespaces/skyctl/deployments/",
	"PodDisruptionBudget":   "/apis/policy/v1/namespaces/skyctl/poddisruptionbudgets/",
	"PersistentVolumeClaim": "/api/v1/namespaces/skyctl/persistentvolumeclaims/",
	"Service":               "/api/v1/namespaces/skyctl/services/",
	"ServiceAccount":        "/api/v1/namespaces/skyctl/serviceaccounts/",
}

// TestAPIServerTakesTheChart applies all objects as a dry run, and creates their pods in a namespace that admits only
// pods of Kubernetes' strictest standard.
func TestAPIServerTakesTheChart(t *testing.T) {
	rest, err := clientcmd.RESTConfigFromKubeConfig(kubeapi.StartServer(t).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := kubernetes.NewForConfig(rest)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := cs.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "skyctl",
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	for _, name := range []string{"one", "many", "bare"} {
		for _, o := range readObjects(t, name) {
			if err := cs.Discovery().RESTClient().Patch(types.ApplyYAMLPatchType).AbsPath(resources[o.Kind]+o.Name).
				Param("fieldManager", "test").Param("dryRun", metav1.DryRunAll).Param("fieldValidation", "Strict").
				Body(o.text).Do(ctx).Error(); err != nil {
				t.Errorf("%s: %s %s: %v", name, o.Kind, o.Name, err)
			}
		}
		template := readDeployment(t, name).Spec.Template
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: template.Labels}, Spec: template.Spec}
		pod.Spec.PriorityClassName = "" // the class is one of the namespace kube-system
		if _, err := cs.CoreV1().Pods("skyctl").Create(ctx, &pod, dryRun); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		pod.Spec.Containers[0].SecurityContext.Capabilities = nil
		if _, err := cs.CoreV1().Pods("skyctl").Create(ctx, &pod, dryRun); err == nil ||
			!strings.Contains(err.Error(), "restricted") {
			t.Errorf("%s: the namespace takes a pod with capabilities: %v", name, err)
		}
	}
}
