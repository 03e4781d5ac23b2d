package computer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The default ranges of pods and Services, which RKE2 and skyctl share.
var (
	podRange     = netip.MustParsePrefix("10.42.0.0/16")
	serviceRange = netip.MustParsePrefix("10.43.0.0/16")
)

// widestRoute is the length of the shortest prefix that counts as a network: VPNs route everything with two halves.
const widestRoute = 4

// findLargePackets reports networks of the engine whose packets are too large for the way out.
func findLargePackets(f Facts) []Finding {
	name, out := f.findWayOut()
	if out.MTU == 0 || !f.Engine.isHere() {
		return nil
	}
	var found []Finding
	for _, n := range f.Engine.Networks {
		if n.MTU <= out.MTU {
			continue
		}
		fix, harm := "", "downloads in hosts can hang"
		switch {
		case n.Own:
			fix = "delete the installation's Docker clusters and create them again: skyctl then makes the network " +
				"anew, with the right size"
		case n.Name == defaultNetwork:
			fix = fmt.Sprintf("set \"mtu\": %d in /etc/docker/daemon.json and restart Docker", out.MTU)
			harm = "building the host image can hang"
		default:
			continue
		}
		found = append(found, newWarning(checkMTU, fix,
			"packets of the Docker network %s may have %d bytes, those of the "+
				"way out (%s) only %d: %s", n.Name, n.MTU, name, out.MTU, harm))
	}
	return found
}

// defaultNetwork is the engine's own network, on which it builds images.
const defaultNetwork = "bridge"

// findWayOut returns the interface of the default route.
func (f Facts) findWayOut() (string, Interface) {
	for _, r := range f.Routes {
		if r.To.Bits() == 0 {
			return r.Interface, f.Interfaces[r.Interface]
		}
	}
	return "", Interface{}
}

// findOverlappingPodNetworks reports that pods or Services of clusters have addresses which something else has.
func findOverlappingPodNetworks(f Facts) []Finding {
	if !f.Engine.isHere() {
		return nil
	}
	const fix = "give clusters other ranges: network.cluster_cidr and network.service_cidr in the cluster's file " +
		"(docs/cluster-file.md)"
	var found []Finding
	for _, r := range []struct {
		who string
		is  netip.Prefix
	}{{"pods", podRange}, {"Services", serviceRange}} {
		for _, n := range f.Engine.Networks {
			if s := findOverlap(n.Subnets, r.is); s.IsValid() && n.Own {
				found = append(found, newProblem(checkPodNetwork,
					fix+", or give the hosts another network (docker.network)",
					"the hosts' network %s (%s) overlaps with the addresses of %s (%s)", n.Name, s, r.who, r.is))
			}
		}
		for _, route := range f.listForeignRoutes() {
			if !route.To.Overlaps(r.is) {
				continue
			}
			found = append(found, newWarning(checkPodNetwork, fix,
				"the route %s through %s overlaps with the addresses of "+
					"%s (%s): pods cannot reach that network's computers with these addresses", route.To,
				route.Interface,
				r.who, r.is))
		}
	}
	return found
}

// findOverlappingSubnets reports networks of the engine that hide a network of the computer.
func findOverlappingSubnets(f Facts) []Finding {
	if !f.Engine.isHere() {
		return nil
	}
	var found []Finding
	for _, n := range f.Engine.Networks {
		for _, route := range f.listForeignRoutes() {
			s := findOverlap(n.Subnets, route.To)
			if !s.IsValid() {
				continue
			}
			found = append(found, newWarning(checkSubnets, "choose other ranges with default-address-pools in "+
				"/etc/docker/daemon.json, restart Docker, and create the network again (docker network rm "+n.Name+")",
				"the Docker network %s (%s) overlaps with the route %s through %s: this computer reaches only one "+
					"of the "+
					"two at these addresses", n.Name, s, route.To, route.Interface))
		}
	}
	return found
}

// findOverlap returns the first of some subnets that overlaps with a range.
func findOverlap(subnets []netip.Prefix, with netip.Prefix) netip.Prefix {
	i := slices.IndexFunc(subnets, with.Overlaps)
	if i < 0 {
		return netip.Prefix{}
	}
	return subnets[i]
}

// listForeignRoutes lists the routes to networks that are not those of containers.
func (f Facts) listForeignRoutes() []Route {
	var all []Route
	for _, r := range f.Routes {
		own := slices.ContainsFunc(f.Engine.Networks, func(n Network) bool { return slices.Contains(n.Subnets, r.To) })
		if r.To.Bits() >= widestRoute && !own && !isContainerInterface(r.Interface) {
			all = append(all, r)
		}
	}
	return all
}

// containerInterfaces are how the interfaces of container engines and pod networks begin.
var containerInterfaces = []string{"docker", "br-", "veth", "cni", "flannel", "cali", "podman", "lxc", "virbr"}

func isContainerInterface(name string) bool {
	return slices.ContainsFunc(containerInterfaces, func(p string) bool { return strings.HasPrefix(name, p) })
}

// findFirewalls reports that the computer does not forward the packets of hosts.
func findFirewalls(f Facts) []Finding {
	if !f.Engine.isHere() {
		return nil
	}
	var found []Finding
	if f.Engine.NoForwarding {
		found = append(found, newWarning(checkFirewall,
			"sudo sysctl -w net.ipv4.ip_forward=1, and remove \"ip-forward\": "+
				"false from /etc/docker/daemon.json",
			"the kernel does not forward packets: hosts reach each other, but no registry"))
	}
	if !dropsForwarded(f.ForwardRules) {
		return found
	}
	const fix = "restart Docker, which adds its rules again (sudo systemctl restart docker); remove \"iptables\": " +
		"false from /etc/docker/daemon.json"
	const what = "iptables drop what this computer forwards, and Docker's rules are missing, as after a restart of a " +
		"firewall (firewalld, ufw): hosts reach no registry"
	if f.BridgeFilter {
		return append(found, newProblem(checkFirewall, fix, what+", nor each other"))
	}
	return append(found, newWarning(checkFirewall, fix, what))
}

// dropsForwarded reports whether iptables -S FORWARD drops packets, and has no rule of Docker.
func dropsForwarded(rules []string) bool {
	drops := slices.ContainsFunc(rules, func(r string) bool {
		return strings.HasPrefix(r, "-P FORWARD DROP") || strings.TrimSpace(r) == "-A FORWARD -j REJECT" ||
			strings.HasPrefix(r, "-A FORWARD -j DROP") || strings.HasPrefix(r, "-A FORWARD -j REJECT ")
	})
	return drops && !slices.ContainsFunc(rules, func(r string) bool { return strings.Contains(r, "DOCKER") })
}

// findProxies reports proxies that keep hosts from their images. skyd itself uses none for machines.
func findProxies(f Facts) []Finding {
	e := f.Engine
	if e.State != EngineAnswers || !f.Proxies.IsSet() && !e.Proxies.IsSet() {
		return nil
	}
	var found []Finding
	if f.Proxies.IsSet() && !e.Proxies.IsSet() {
		found = append(found, newWarning(checkProxy,
			"give Docker the proxy too (docs.docker.com/engine/daemon/proxy), restart it",
			"the environment has a proxy and the Docker engine has none: it may not reach the registry of the host "+
				"image's base"))
	}
	return append(found, newWarning(checkProxy, "set HTTPS_PROXY and NO_PROXY for RKE2 in rke2.env, or mirrors in "+
		"rke2.registries (docs/cluster-file.md)",
		"this computer reaches others through a proxy, which hosts do not know: RKE2 may not reach its registries"))
}
