package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/join"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

// UninitializedTaint keeps pods away from a new Node until the cloud controller has initialised it.
const UninitializedTaint = "node.cloudprovider.kubernetes.io/uninitialized"

// kubeletInterval is how often RKE2 starts a kubelet that exits (rke2 pkg/executor/staticpod/staticpod.go).
const kubeletInterval = 5 * time.Second

// AwaitHealthyKubelet returns when no test asks for a kubelet that exits (hostmode.KubeletExits). Until then the
// kubelet's log and the journal have what those of RKE2 have. On a server of RKE2 there is no API without a kubelet.
func (n *Node) AwaitHealthyKubelet(ctx context.Context) error {
	for {
		cause, found := n.modes.Line(hostmode.KubeletExits)
		if !found {
			return nil
		}
		if err := appendLine(n.logPath("kubelet"), cause); err != nil {
			return fmt.Errorf("write log of the kubelet: %w", err)
		}
		logline.Errorf("Kubelet exited: exit status 1")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(n.kubeletInterval):
		}
	}
}

func appendLine(file, line string) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, line)
	return errors.Join(err, out.Close())
}

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
	if taints := registeredTaints(n.opts.Taints, cluster); len(taints) > 0 {
		args = append(args, "--register-with-taints="+strings.Join(taints, ","))
	}
	// The node's own arguments come last: flags win over the file, later ones
	// over earlier ones.
	args = append(args, toFlags(n.opts.KubeletArgs)...)
	return n.group.Start(ctx, proc.Spec{Name: "kubelet", Path: n.opts.KubeBinary, Args: args,
		Log: n.logPath("kubelet"), Every: kubeletInterval})
}

// registeredTaints adds the taint that a kubelet sets by itself if it has --cloud-provider=external, as those of RKE2
// do. With that argument a Node keeps its first addresses for ever, unless a cloud controller changes them.
func registeredTaints(own []string, cluster supervisor.ClusterConfig) []string {
	if cluster.NoCloudController {
		return own
	}
	return append(slices.Clone(own), UninitializedTaint+"=true:NoSchedule")
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
		"failSwapOn":               false,
		"nodeLeaseDurationSeconds": 20, // renewed every quarter of it; see the controller manager's grace period
		"healthzBindAddress":       "127.0.0.1",
		"clusterDomain":            cluster.ClusterDomain,
		"clusterDNS":               strings.Split(cluster.ClusterDNS, ","),
		"providerID":               "rke2://" + n.opts.Name,
		"serializeImagePulls":      false,
		"staticPodPath":            n.podManifests(),
		"fileCheckFrequency":       "5s",
		"syncFrequency":            "30s",
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
