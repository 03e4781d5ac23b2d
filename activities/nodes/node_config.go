package nodes

import (
	"maps"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// newRKE2Node returns what RKE2's configuration on a machine says about its Node and the pod network. A machine of a
// pool has the pool's labels and taints. A server has none: the cluster's own pods run there.
func newRKE2Node(c *api.Cluster, r *api.Machine) rke2.Node {
	node := rke2.Node{
		Role: r.Role, NodeName: r.NodeName, NodeIP: r.PrivateAddress, ExternalIP: externalAddress(r),
		CPUs: r.CPUs, MemoryGiB: r.MemoryGiB, PodCIDR: c.Spec.PodCIDR(),
	}
	name := r.PoolName()
	if name == "" {
		return node
	}
	node.Labels = map[string]string{api.NodeLabelPool: name}
	if p := c.Spec.FindPool(name); p != nil {
		maps.Copy(node.Labels, p.Labels)
		node.Taints = p.Taints
	}
	return node
}

// externalAddress returns the machine's public address; "" if it has none of its own.
func externalAddress(r *api.Machine) string {
	if r.Address == r.PrivateAddress {
		return ""
	}
	return r.Address
}

// serverSANs returns the names under which the head's API is reached.
func serverSANs(r *api.Machine) []string {
	if ext := externalAddress(r); ext != "" {
		return []string{ext, r.PrivateAddress, r.Name}
	}
	return []string{r.PrivateAddress, r.Name}
}
