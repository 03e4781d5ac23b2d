package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/join"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

const (
	cniFile = "10-rke2kit.conflist"
	// routeProto marks the routes of the kit, so that rke2-killall.sh finds them.
	routeProto = "142"
)

func cniDir(agent string) string { return filepath.Join(agent, "etc", "cni", "net.d") }

// findCNIBinDir finds the distribution's CNI plugins.
func findCNIBinDir() (string, error) {
	dirs := []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find CNI plugins: none in %s; install containernetworking-plugins", strings.Join(dirs, ", "))
}

// maintainPodNetwork keeps pods of all nodes connected until ctx ends: this node's CNI
// configuration from its own pod CIDR, and one route for each peer's. It reads
// Nodes as kube-proxy does: a kubelet may see its own Node only.
func (n *Node) maintainPodNetwork(ctx context.Context, apiServer string, cluster supervisor.ClusterConfig) {
	if cluster.CNI == "none" {
		return
	}
	enableForwarding(ctx, cluster.ClusterCIDR)
	cert := n.agentPath(join.ClientKubeProxy)
	api, err := kubeapi.New(apiServer, n.agentPath(join.ServerCAFile), cert+".crt", cert+".key")
	if err != nil {
		logline.Errorf("pod network: %v", err)
		return
	}
	routes := map[string]string{} // node name to "cidr via address", as installed
	var spoken time.Time
	api.WatchNodes(ctx, func(peer kubeapi.Node, gone bool) {
		if peer.Metadata.Name == n.opts.Name {
			n.writeCNIConfig(peer.Spec.PodCIDR)
			return
		}
		updateRoute(ctx, routes, &peer, gone)
	}, func(err error) {
		if time.Since(spoken) > 10*time.Second {
			spoken = time.Now()
			logline.Warnf("pod network: %v; trying again", err)
		}
	})
}

// enableForwarding lets pods' packets through this node, and gives those that leave
// the cluster the node's address.
func enableForwarding(ctx context.Context, clusterCIDR string) {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		logline.Warnf("failed to switch IP forwarding on: %v", err)
	}
	comment := []string{"-m", "comment", "--comment", "rke2kit pod network"}
	rules := [][]string{
		{"nat", "POSTROUTING", "-s", clusterCIDR, "!", "-d", clusterCIDR, "-j", "MASQUERADE"},
		{"filter", "FORWARD", "-s", clusterCIDR, "-j", "ACCEPT"},
		{"filter", "FORWARD", "-d", clusterCIDR, "-j", "ACCEPT"},
	}
	for _, rule := range rules {
		args := func(verb string) []string {
			return append(append([]string{"-w", "-t", rule[0], verb, rule[1]}, rule[2:]...), comment...)
		}
		if exec.CommandContext(ctx, "iptables", args("-C")...).Run() == nil {
			continue
		}
		if out, err := exec.CommandContext(ctx, "iptables", args("-A")...).CombinedOutput(); err != nil {
			logline.Warnf("iptables %s: %v: %s", strings.Join(args("-A"), " "), err, strings.TrimSpace(string(out)))
		}
	}
}

// updateRoute installs, changes or removes the route to one peer's pods.
func updateRoute(ctx context.Context, routes map[string]string, peer *kubeapi.Node, gone bool) {
	name, cidr, via := peer.Metadata.Name, peer.Spec.PodCIDR, peer.InternalIP()
	want := ""
	if !gone && cidr != "" && via != "" {
		want = cidr + " via " + via
	}
	have := routes[name]
	if want == have {
		return
	}
	if have != "" {
		if err := runIPRoute(ctx, "del", have); err != nil {
			logline.Warnf("failed to remove route to node %s: %v", name, err)
		}
		delete(routes, name)
	}
	if want == "" {
		return
	}
	if err := runIPRoute(ctx, "replace", want); err != nil {
		logline.Warnf("failed to add route to node %s: %v", name, err)
		return
	}
	routes[name] = want
}

func runIPRoute(ctx context.Context, verb, what string) error {
	args := append([]string{"route", verb}, append(strings.Fields(what), "proto", routeProto)...)
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// writeCNIConfig writes the configuration when the pod CIDR is new.
func (n *Node) writeCNIConfig(podCIDR string) {
	if podCIDR == "" {
		return
	}
	data, err := renderCNIConfig(podCIDR, findInterfaceMTU(n.opts.IP))
	if err != nil {
		logline.Errorf("pod network: %v", err)
		return
	}
	file := filepath.Join(cniDir(n.agent), cniFile)
	if old, err := os.ReadFile(file); err == nil && string(old) == string(data) {
		return
	}
	if err := pki.WriteFile(file, data, 0o644); err != nil {
		logline.Errorf("pod network: %v", err)
		return
	}
	logline.Infof("Pods of this node get addresses of %s", podCIDR)
}

// renderCNIConfig uses the ptp plugin and not bridge: pods of one node then reach each
// other through the node's routing as well, and a Service's rules apply to them
// without br_netfilter, which a container can't load.
func renderCNIConfig(podCIDR string, mtu int) ([]byte, error) {
	if _, _, err := net.ParseCIDR(podCIDR); err != nil {
		return nil, fmt.Errorf("pod CIDR of this node: %w", err)
	}
	type m = map[string]any
	return json.MarshalIndent(m{
		"cniVersion": "0.4.0",
		"name":       "rke2kit",
		"plugins": []m{
			{
				"type": "ptp", "mtu": mtu, "ipMasq": false,
				"ipam": m{
					"type":   "host-local",
					"ranges": [][]m{{{"subnet": podCIDR}}},
					"routes": []m{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
}

// findInterfaceMTU is that of the interface which has the node's address.
func findInterfaceMTU(nodeIP string) int {
	const usual = 1500
	found, err := findInterface(nodeIP)
	if err != nil {
		return usual
	}
	return found.MTU
}

func findInterface(ip string) (*net.Interface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range interfaces {
		addrs, err := interfaces[i].Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if ipnet, ok := a.(*net.IPNet); ok && ipnet.IP.String() == ip {
				return &interfaces[i], nil
			}
		}
	}
	return nil, errors.New("no interface has this address")
}
