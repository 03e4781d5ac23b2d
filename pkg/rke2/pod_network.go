package rke2

import (
	"fmt"
	"net/netip"

	"github.com/sky-shift/skyctl/pkg/api"
)

// renderPodNetwork returns the keys of a server's configuration for the address range of pods
// (docs.rke2.io/reference/server_config), which RKE2 also passes to the CNI's chart. Neither can change once Nodes have
// their parts (rancher/rke2#9411). RKE2's default needs no key, so that clusters of older versions keep their
// configuration.
func renderPodNetwork(podCIDR string) map[string]any {
	if podCIDR == "" || podCIDR == api.DefaultPodCIDR {
		return nil
	}
	return map[string]any{
		"cluster-cidr":                podCIDR,
		"kube-controller-manager-arg": []string{fmt.Sprintf("node-cidr-mask-size-ipv4=%d", api.NodePodMask)},
	}
}

// checkPodCIDR refuses a machine whose address is in the range of pods: no pod could reach it. It accepts any machine
// with RKE2's default range, as older versions did.
func checkPodCIDR(n Node) error {
	if renderPodNetwork(n.PodCIDR) == nil {
		return nil
	}
	cidr, err := netip.ParsePrefix(n.PodCIDR)
	if err != nil {
		return fmt.Errorf("rendering the RKE2 configuration of %s: the address range of pods: %w", n.NodeName, err)
	}
	for _, text := range []string{n.NodeIP, n.ExternalIP} {
		if address, err := netip.ParseAddr(text); err == nil && cidr.Contains(address) {
			return &Error{Kind: Unsupported, Machine: n.NodeName, Permanent: true,
				Message: fmt.Sprintf("its address %s is in the pod network %s, which follows from max_nodes; create "+
					"the cluster without --max_nodes, or with machines in another network", text, cidr)}
		}
	}
	return nil
}
