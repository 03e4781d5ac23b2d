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
		Name            string            `json:"name"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		PodCIDR string `json:"podCIDR"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"status"`
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
