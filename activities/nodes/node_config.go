package nodes

import (
	"net"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// newRKE2Node returns what RKE2's configuration on a machine says about its Node and the pod network. Its labels and
// taints are those on record, also if others are wanted by now: RKE2 sets them when it starts, and UpdateNode has to
// know what the Node may have.
func newRKE2Node(c *api.Cluster, r *api.Machine) rke2.Node {
	given := c.GivenNodeSettings(*r)
	return rke2.Node{
		Role: r.Role, NodeName: r.NodeName, NodeIP: r.PrivateAddress, ExternalIP: externalAddress(r),
		CPUs: r.CPUs, MemoryGiB: r.MemoryGiB, PodCIDR: c.Spec.PodCIDR(),
		EncryptPods:   r.Placement.Exposed,
		SnapshotEvery: c.Spec.Snapshots.Interval(),
		Labels:        given.Labels, Taints: given.Taints,
		Config: c.Spec.RKE2.Config, CNI: c.Spec.Network.CNI, Ingress: ingressOf(c),
		ServiceLB: c.Spec.EnableServiceLB != nil && *c.Spec.EnableServiceLB,
	}
}

// ingressOf returns the ingress controller of a cluster: the one that is wanted, or else that of the release with which
// it was created, so that another release does not change it. A cluster of an older version of skyctl has neither.
func ingressOf(c *api.Cluster) string {
	if c.Spec.Ingress != "" || c.Status.Artifacts == nil {
		return c.Spec.Ingress
	}
	return c.Status.Artifacts.Ingress
}

// serverURL returns where agents join.
func serverURL(head *api.Machine) string {
	return "https://" + net.JoinHostPort(head.PrivateAddress, strconv.Itoa(rke2.SupervisorPort))
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
