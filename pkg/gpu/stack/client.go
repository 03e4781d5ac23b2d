// Package stack installs NVIDIA's GPU stack on a cluster and reports whether every node offers its accelerators, and if
// not, which part of the stack is at fault.
package stack

import (
	"context"
	"encoding/json"
	"path"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/pkg/gpu"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// callTimeout bounds a single call, so that an API server that does not answer is noticed.
const callTimeout = 15 * time.Second

// policyName is the name of the operator's ClusterPolicy.
const policyName = "cluster-policy"

var clusterPolicies = schema.GroupVersionResource{Group: "nvidia.com", Version: "v1", Resource: "clusterpolicies"}

// Client accesses one cluster: built-in kinds, and the kinds that charts install.
type Client struct {
	core kubernetes.Interface
	any  objectClient
}

// NewClient creates a client over the connections of cs.
func NewClient(cs kubernetes.Interface) *Client {
	return &Client{core: cs, any: restObjectClient{cs}}
}

// objectClient accesses objects of kinds without Go types here. Its errors are those of the API server.
type objectClient interface {
	getObject(ctx context.Context, kind schema.GroupVersionResource, namespace,
		name string) (*unstructured.Unstructured, error)
	// applyObject is a server-side apply that takes ownership of the object's fields.
	applyObject(ctx context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured) error
	mergeObject(ctx context.Context, kind schema.GroupVersionResource, namespace, name string,
		patch map[string]any) error
	deleteObject(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) error
}

// restObjectClient accesses an API server with JSON. The typed client uses protobuf, which custom resources do not
// support.
type restObjectClient struct{ cs kubernetes.Interface }

const jsonType = "application/json"

func (r restObjectClient) restClient() rest.Interface { return r.cs.Discovery().RESTClient() }

func objectPath(kind schema.GroupVersionResource, namespace, name string) string {
	p := path.Join("/apis", kind.Group, kind.Version)
	if namespace != "" {
		p = path.Join(p, "namespaces", namespace)
	}
	return path.Join(p, kind.Resource, name)
}

func (r restObjectClient) getObject(ctx context.Context, kind schema.GroupVersionResource, namespace,
	name string) (*unstructured.Unstructured, error) {
	b, err := r.restClient().Get().AbsPath(objectPath(kind, namespace, name)).SetHeader("Accept",
		jsonType).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	return o, o.UnmarshalJSON(b)
}

func (r restObjectClient) applyObject(ctx context.Context, kind schema.GroupVersionResource,
	o *unstructured.Unstructured) error {
	b, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	return r.restClient().Patch(types.ApplyYAMLPatchType).AbsPath(objectPath(kind, o.GetNamespace(), o.GetName())).
		Param("fieldManager", gpu.FieldManager).Param("force", strconv.FormatBool(true)).
		SetHeader("Accept", jsonType).Body(b).Do(ctx).Error()
}

func (r restObjectClient) mergeObject(ctx context.Context, kind schema.GroupVersionResource, namespace, name string,
	patch map[string]any) error {
	b, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return r.restClient().Patch(types.MergePatchType).AbsPath(objectPath(kind, namespace, name)).
		Param("fieldManager", gpu.FieldManager).SetHeader("Accept", jsonType).Body(b).Do(ctx).Error()
}

func (r restObjectClient) deleteObject(ctx context.Context, kind schema.GroupVersionResource, namespace,
	name string) error {
	return r.restClient().Delete().AbsPath(objectPath(kind, namespace, name)).SetHeader("Accept",
		jsonType).Do(ctx).Error()
}
