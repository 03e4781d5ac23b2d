package etcdsnapshot

import (
	"fmt"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/kubeapi"
)

// TestKubernetesLaysItsKeysOutSo compares the counts with what a real API server lists.
func TestKubernetesLaysItsKeysOutSo(t *testing.T) {
	s := kubeapi.StartServer(t)
	s.ApplyCRD("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: " +
		"certificates.cert-manager.io\nspec:\n  group: cert-manager.io\n  scope: Namespaced\n  names: {plural: " +
		"certificates, kind: Certificate}\n  versions:\n  - {name: v1, served: true, storage: true, schema: " +
		"{openAPIV3Schema: {type: object}}}\n")
	config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig)
	must(t, err)
	objects, err := dynamic.NewForConfig(config)
	must(t, err)
	for i := range 3 {
		certificate := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cert-manager.io/v1",
			"kind": "Certificate", "metadata": map[string]any{"name": fmt.Sprint("c", i)}}}
		_, err := objects.Resource(schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1",
			Resource: "certificates"}).Namespace("default").Create(t.Context(), certificate, metav1.CreateOptions{})
		must(t, err)
		node := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node",
			"metadata": map[string]any{"name": fmt.Sprint("node-", i)}}}
		_, err = objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}).Create(t.Context(),
			node,
			metav1.CreateOptions{})
		must(t, err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.EtcdEndpoint}, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	listed := map[string]schema.GroupVersionResource{
		"/registry/cert-manager.io/certificates": {Group: "cert-manager.io",
			Resource: "certificates"},
		"/registry/apiextensions.k8s.io/customresourcedefinitions": {Group: "apiextensions.k8s.io",
			Resource: "customresourcedefinitions"},
		"/registry/apiregistration.k8s.io/apiservices": {Group: "apiregistration.k8s.io",
			Resource: "apiservices"},
		"/registry/minions":        {Resource: "nodes"},
		"/registry/namespaces":     {Resource: "namespaces"},
		"/registry/services/specs": {Resource: "services"},
		"/registry/clusterroles": {Group: "rbac.authorization.k8s.io",
			Resource: "clusterroles"},
		"/registry/flowschemas": {Group: "flowcontrol.apiserver.k8s.io",
			Resource: "flowschemas"},
	}
	// The API server adds its own objects for a while after its start.
	eventually.Succeeds(t, "the counts agree", func() error {
		got, err := Read(saveSnapshot(t, c))
		must(t, err)
		for prefix, resource := range listed {
			resource.Version = "v1"
			all, err := objects.Resource(resource).List(t.Context(), metav1.ListOptions{})
			must(t, err)
			if n := int64(len(all.Items)); n == 0 || got.Keys[prefix] != n {
				return fmt.Errorf("%s has %d keys, and the API lists %d: %v", prefix, got.Keys[prefix], n, got.Keys)
			}
		}
		return nil
	})
}
