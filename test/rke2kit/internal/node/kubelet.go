package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/join"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

func (n *Node) startKubelet(ctx context.Context, cluster supervisor.ClusterConfig) error {
	config, err := n.renderKubeletConfig(cluster)
	if err != nil {
		return err
	}
	file := n.agentPath("etc", "kubelet.json")
	if err := pki.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	args := []string{
		"kubelet",
		"--config=" + file,
		"--kubeconfig=" + n.agentPath("kubelet.kubeconfig"),
		"--hostname-override=" + n.opts.Name,
		"--node-ip=" + n.opts.IP,
	}
	if len(n.opts.Labels) > 0 {
		args = append(args, "--node-labels="+strings.Join(n.opts.Labels, ","))
	}
	if len(n.opts.Taints) > 0 {
		args = append(args, "--register-with-taints="+strings.Join(n.opts.Taints, ","))
	}
	// The node's own arguments come last: flags win over the file, later ones
	// over earlier ones.
	args = append(args, toFlags(n.opts.KubeletArgs)...)
	return n.group.Start(ctx, proc.Spec{Name: "kubelet", Path: n.opts.KubeBinary, Args: args,
		Log: n.logPath("kubelet")})
}

// renderKubeletConfig renders the kubelet's configuration file. Evictions are those of
// RKE2: without a memory threshold, so that allocatable memory is capacity less
// what the node's arguments reserve.
func (n *Node) renderKubeletConfig(cluster supervisor.ClusterConfig) ([]byte, error) {
	type m = map[string]any
	config := m{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": m{
			"anonymous": m{"enabled": false},
			"webhook":   m{"enabled": true},
			"x509":      m{"clientCAFile": n.agentPath(join.ClientCAFile)},
		},
		"authorization":            m{"mode": "Webhook"},
		"tlsCertFile":              n.agentPath(join.ServingKubelet + ".crt"),
		"tlsPrivateKeyFile":        n.agentPath(join.ServingKubelet + ".key"),
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"cgroupDriver":             n.cgroups.driver,
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"nodeLeaseDurationSeconds": 20, // renewed every quarter of it; see the controller manager's grace period
		"healthzBindAddress":       "127.0.0.1",
		"clusterDomain":            cluster.ClusterDomain,
		"clusterDNS":               strings.Split(cluster.ClusterDNS, ","),
		"providerID":               "rke2://" + n.opts.Name,
		"serializeImagePulls":      false,
		"staticPodPath":            n.agentPath("pod-manifests"),
		"evictionHard":             map[string]string{"imagefs.available": "5%", "nodefs.available": "5%"},
		"evictionMinimumReclaim":   map[string]string{"imagefs.available": "10%", "nodefs.available": "10%"},
		// Older containerds do not support the pinning of images that RKE2 imports. On a nearly full disk the kubelet
		// would remove them, and no registry has them.
		"imageGCHighThresholdPercent": 100,
	}
	if n.cgroups.root != "" {
		config["cgroupRoot"] = n.cgroups.root
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render kubelet configuration: %w", err)
	}
	return data, nil
}
