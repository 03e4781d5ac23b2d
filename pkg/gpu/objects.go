package gpu

import (
	"context"
	"encoding/json"
	"path"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Client reaches one cluster: its own kinds, and those that charts bring.
type Client struct {
	core kubernetes.Interface
	any  objects
}

// NewClient makes a client of one for a cluster's own kinds, over whose connections it goes.
func NewClient(cs kubernetes.Interface) *Client {
	return &Client{core: cs, any: restObjects{cs}}
}

// objects are what is there of kinds that no Go type here knows. Errors are those of the API server.
type objects interface {
	get(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error)
	// apply is a server-side apply, by which the fields of the object become ours, whoever had them.
	apply(ctx context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured) error
	merge(ctx context.Context, kind schema.GroupVersionResource, namespace, name string, patch map[string]any) error
	delete(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) error
}

// restObjects asks an API server. The typed client speaks protobuf, which kinds that charts bring do not have.
type restObjects struct{ cs kubernetes.Interface }

const jsonType = "application/json"

func (r restObjects) rest() rest.Interface { return r.cs.Discovery().RESTClient() }

func where(kind schema.GroupVersionResource, namespace, name string) string {
	p := path.Join("/apis", kind.Group, kind.Version)
	if namespace != "" {
		p = path.Join(p, "namespaces", namespace)
	}
	return path.Join(p, kind.Resource, name)
}

func (r restObjects) get(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	b, err := r.rest().Get().AbsPath(where(kind, namespace, name)).SetHeader("Accept", jsonType).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	return o, o.UnmarshalJSON(b)
}

func (r restObjects) apply(ctx context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured) error {
	b, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	return r.rest().Patch(types.ApplyYAMLPatchType).AbsPath(where(kind, o.GetNamespace(), o.GetName())).
		Param("fieldManager", FieldManager).Param("force", strconv.FormatBool(true)).
		SetHeader("Accept", jsonType).Body(b).Do(ctx).Error()
}

func (r restObjects) merge(ctx context.Context, kind schema.GroupVersionResource, namespace, name string, patch map[string]any) error {
	b, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return r.rest().Patch(types.MergePatchType).AbsPath(where(kind, namespace, name)).
		Param("fieldManager", FieldManager).SetHeader("Accept", jsonType).Body(b).Do(ctx).Error()
}

func (r restObjects) delete(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) error {
	return r.rest().Delete().AbsPath(where(kind, namespace, name)).SetHeader("Accept", jsonType).Do(ctx).Error()
}
