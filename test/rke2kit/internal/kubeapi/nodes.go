package kubeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const nodesPath = "/api/v1/nodes"

// Node has the fields of a Node that the supervisor reads.
type Node struct {
	Metadata struct {
		Name              string            `json:"name"`
		ResourceVersion   string            `json:"resourceVersion"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
		Finalizers        []string          `json:"finalizers"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		PodCIDR string  `json:"podCIDR"`
		Taints  []Taint `json:"taints"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

// Taint is one of a Node.
type Taint struct {
	Key       string `json:"key"`
	Value     string `json:"value,omitempty"`
	Effect    string `json:"effect"`
	TimeAdded string `json:"timeAdded,omitempty"`
}

// InternalIP is the node's own address, or "" while it has none.
func (n *Node) InternalIP() string {
	for _, a := range n.Status.Addresses {
		if a.Type == "InternalIP" {
			return a.Address
		}
	}
	return ""
}

// GetNode reads one Node.
func (c *Client) GetNode(ctx context.Context, name string) (Node, error) {
	var n Node
	err := c.CallJSON(ctx, http.MethodGet, nodesPath+"/"+name, nil, &n)
	return n, err
}

// PatchNode merges patch into the Node as it was read. It fails with 409 if the Node has changed since.
func (c *Client) PatchNode(ctx context.Context, n *Node, patch map[string]any) error {
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["resourceVersion"] = n.Metadata.ResourceVersion
	return c.CallJSON(ctx, http.MethodPatch, nodesPath+"/"+n.Metadata.Name, patch, nil)
}

// IsReady reports whether the kubelet says that pods can run.
func (n *Node) IsReady() bool {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

type nodeList struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []Node `json:"items"`
}

// WatchNodes calls changed with every existing node and then with every change,
// until ctx ends. For deleted nodes gone is set. It reopens lost connections and
// lists the nodes again to find the changes that it missed.
func (c *Client) WatchNodes(ctx context.Context, changed func(n Node, gone bool), failed func(error)) {
	known := map[string]Node{}
	for ctx.Err() == nil {
		if err := c.watchNodesOnce(ctx, known, changed); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Client) watchNodesOnce(ctx context.Context, known map[string]Node, changed func(Node, bool)) error {
	var list nodeList
	if err := c.CallJSON(ctx, http.MethodGet, nodesPath, nil, &list); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	present := map[string]bool{}
	for _, n := range list.Items {
		present[n.Metadata.Name] = true
		known[n.Metadata.Name] = n
		changed(n, false)
	}
	for name, n := range known {
		if !present[name] {
			delete(known, name)
			changed(n, true)
		}
	}
	resp, err := c.sendJSON(ctx, http.MethodGet, nodesPath+"?watch=1&allowWatchBookmarks=true&resourceVersion="+
		list.Metadata.ResourceVersion, nil)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	defer resp.Body.Close()
	events := json.NewDecoder(resp.Body)
	for {
		var event struct {
			Type   string `json:"type"`
			Object Node   `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			return nil // the apiserver closes every watch after some minutes
		}
		switch event.Type {
		case "ADDED", "MODIFIED":
			known[event.Object.Metadata.Name] = event.Object
			changed(event.Object, false)
		case "DELETED":
			delete(known, event.Object.Metadata.Name)
			changed(event.Object, true)
		case "ERROR":
			return nil
		}
	}
}
