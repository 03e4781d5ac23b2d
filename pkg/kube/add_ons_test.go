package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// addOnsCluster is what an API server says about add-ons.
type addOnsCluster struct {
	nodes       []corev1.Node
	deployments []appsv1.Deployment
	// chart is the status of the answer about the HelmChart of CoreDNS.
	chart int
}

func (c addOnsCluster) newClient(t *testing.T) kubernetes.Interface {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(path string, object any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(object)
		})
	}
	answer("/api/v1/nodes", corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"},
		Items: c.nodes})
	if c.deployments != nil {
		answer("/apis/apps/v1/namespaces/kube-system/deployments", appsv1.DeploymentList{
			TypeMeta: metav1.TypeMeta{Kind: "DeploymentList", APIVersion: "apps/v1"}, Items: c.deployments})
	}
	mux.HandleFunc("GET "+dnsChart, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(c.chart)
		fmt.Fprintln(w, "{}")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL,
		ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestMissingAddOnsAreFound(t *testing.T) {
	node := func(name string, taints ...corev1.Taint) corev1.Node {
		n := corev1.Node{Spec: corev1.NodeSpec{Taints: taints}}
		n.Name = name
		return n
	}
	deployment := func(name, label string, available int32) appsv1.Deployment {
		d := appsv1.Deployment{Status: appsv1.DeploymentStatus{AvailableReplicas: available}}
		d.Name, d.Labels = name, map[string]string{dnsLabel: label}
		return d
	}
	ready := []corev1.Node{node("a"), node("b", corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoSchedule})}
	waits := corev1.Taint{Key: uninitializedTaint, Value: "true", Effect: corev1.TaintEffectNoSchedule}
	other := deployment("rke2-metrics-server", "metrics-server", 1)
	for _, tt := range []struct {
		name    string
		cluster addOnsCluster
		want    string
	}{
		{"DNS serves", addOnsCluster{ready, []appsv1.Deployment{other, deployment("d", dnsName, 1)}, 200}, ""},
		{"DNS starts", addOnsCluster{ready, []appsv1.Deployment{other, deployment("d", dnsName, 0)}, 200},
			"CoreDNS has no pod that is ready"},
		{"DNS will come", addOnsCluster{ready, []appsv1.Deployment{other}, 200}, "CoreDNS is not installed yet"},
		{"no DNS", addOnsCluster{ready, []appsv1.Deployment{other}, 404}, ""},
		{"no Deployments", addOnsCluster{ready, nil, 404}, ""},
		{"Nodes wait", addOnsCluster{[]corev1.Node{node("b", waits), node("a", waits), node("c")}, nil, 404},
			"the cloud controller has not initialized a, b (taint " + uninitializedTaint + ")"},
		{"many wait", addOnsCluster{[]corev1.Node{node("a", waits), node("b", waits), node("c", waits),
			node("d", waits)},
			[]appsv1.Deployment{other}, 200}, "the cloud controller has not initialized a, b, c and 1 more (taint " +
			uninitializedTaint + "); CoreDNS is not installed yet"},
	} {
		got, err := FindMissingAddOns(t.Context(), tt.cluster.newClient(t))
		if err != nil || strings.Join(got, "; ") != tt.want {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
	broken := addOnsCluster{ready, []appsv1.Deployment{}, 403}
	if got, err := FindMissingAddOns(t.Context(), broken.newClient(t)); err == nil {
		t.Errorf("without an answer: got %q", got)
	}
}
