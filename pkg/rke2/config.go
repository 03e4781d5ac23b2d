package rke2

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/release"
	"github.com/sky-shift/skyctl/pkg/remote"
	"sigs.k8s.io/yaml"
)

// evictionMemory is the kubelet's eviction threshold for memory, which reduces the allocatable memory. The other
// thresholds are RKE2's own; setting one requires setting them all.
const (
	evictionMemory = 100 << 20
	evictionHard   = "eviction-hard=memory.available<100Mi,nodefs.available<5%,imagefs.available<5%"
	// failCgroupV1Off is the kubelet's argument for machines with cgroup version 1.
	failCgroupV1Off = "fail-cgroupv1=false"
)

// RenderConfig renders RKE2's config.yaml for a node. It reserves the machine's resources beyond the allotted ones, so
// that the node's allocatable resources equal the request.
func RenderConfig(n Node, f Facts) ([]byte, error) {
	if n.NodeName == "" || n.NodeIP == "" {
		return nil, errors.New("rendering the RKE2 configuration: the node has no name or no address")
	}
	if err := checkPodCIDR(n); err != nil {
		return nil, err
	}
	labels, err := renderNodeLabels(n.Labels)
	if err != nil {
		return nil, fmt.Errorf("rendering the RKE2 configuration of %s: %w", n.NodeName, err)
	}
	c := map[string]any{
		"node-name":   n.NodeName,
		"node-ip":     n.NodeIP,
		"kubelet-arg": renderKubeletArgs(n, f),
	}
	if n.ExternalIP != "" && n.ExternalIP != n.NodeIP {
		c["node-external-ip"] = n.ExternalIP
	}
	if len(labels) > 0 {
		c["node-label"] = labels
	}
	if len(n.Taints) > 0 {
		c["node-taint"] = n.Taints
	}
	switch n.Role {
	case api.RoleHead:
		if n.AgentToken == "" {
			return nil, fmt.Errorf("rendering the RKE2 configuration of %s: the head has no agent token", n.NodeName)
		}
		c["agent-token"] = n.AgentToken
		// Without it RKE2 advertises the external address, and internal traffic leaves the private network.
		c["advertise-address"] = n.NodeIP
		c["tls-san"] = collectTLSSANs(n)
		c["write-kubeconfig-mode"] = "0600"
		maps.Copy(c, renderPodNetwork(n.PodCIDR))
		maps.Copy(c, renderSnapshotSchedule(n.SnapshotEvery))
		maps.Copy(c, renderComponents(n))
	case api.RoleWorker:
		if !strings.HasPrefix(n.Server, "https://") {
			return nil, fmt.Errorf("rendering the RKE2 configuration of %s: the server is %q, not "+
				"https://<head>:%d", n.NodeName, n.Server, SupervisorPort)
		}
		c["server"] = n.Server
		c["token-file"] = joinTokenFile
	default:
		return nil, fmt.Errorf("rendering the RKE2 configuration of %s: invalid role %q", n.NodeName, n.Role)
	}
	addSpecConfig(c, n)
	b, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("rendering the RKE2 configuration of %s: %w", n.NodeName, err)
	}
	return append([]byte(writtenBySkyctl), b...), nil
}

// snapshotsOnServer is how many snapshots of its own schedule a server keeps: enough for skyd to catch up after a
// while.
const snapshotsOnServer = 5

// renderSnapshotSchedule renders RKE2's own schedule of snapshots. Its form of an interval is that of
// github.com/robfig/cron/v3, with which RKE2 reads it; it counts from the start of the server.
func renderSnapshotSchedule(every time.Duration) map[string]any {
	if every <= 0 {
		return map[string]any{"etcd-disable-snapshots": true} // commands still take them
	}
	return map[string]any{"etcd-snapshot-schedule-cron": "@every " + api.Duration(every).String(),
		"etcd-snapshot-retention": snapshotsOnServer}
}

func collectTLSSANs(n Node) []string {
	var sans []string
	for _, s := range append([]string{n.NodeIP, n.ExternalIP}, n.TLSSANs...) {
		if s != "" && !slices.Contains(sans, s) {
			sans = append(sans, s)
		}
	}
	return sans
}

// renderNodeLabels renders labels in sorted order. The kubelet does not start with labels of Kubernetes domains, such
// as a role (rancher/rke2#3730).
func renderNodeLabels(labels map[string]string) ([]string, error) {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		domain, _, _ := strings.Cut(k, "/")
		for _, own := range []string{"kubernetes.io", "k8s.io"} {
			if domain == own || strings.HasSuffix(domain, "."+own) {
				return nil, fmt.Errorf("label %q has a reserved Kubernetes domain and nodes cannot set it; use "+
					"another "+
					"domain", k)
			}
		}
		out = append(out, k+"="+labels[k])
	}
	return out, nil
}

// renderKubeletArgs reserves the resources that the machine has beyond the allotted ones.
func renderKubeletArgs(n Node, f Facts) []string {
	args := []string{evictionHard}
	var reserved []string
	if n.CPUs > 0 {
		if milli := int64(f.CPUs)*1000 - int64(math.Ceil(n.CPUs*1000)); milli > 0 {
			reserved = append(reserved, fmt.Sprintf("cpu=%dm", milli))
		}
	}
	if n.MemoryGiB > 0 {
		if b := f.MemoryBytes - int64(math.Ceil(n.MemoryGiB*(1<<30))) - evictionMemory; b > 0 {
			reserved = append(reserved, fmt.Sprintf("memory=%dKi", b>>10))
		}
	}
	if len(reserved) > 0 {
		args = append(args, "system-reserved="+strings.Join(reserved, ","))
	}
	return append(args, renderCgroupArgs(f)...)
}

// renderCgroupArgs lets the kubelet start on a machine with cgroup version 1, which it refuses by default since 1.35
// (KEP-5573; k8s.io/kubernetes v1.36.3 pkg/kubelet/apis/config/v1beta1/defaults.go). Older kubelets accept it, and
// those before 1.31 do not know the flag.
func renderCgroupArgs(f Facts) []string {
	if v, err := release.Parse(f.Release); err != nil || !f.CgroupV1 || !v.IsAtLeast(1, 35) {
		return nil
	}
	return []string{failCgroupV1Off}
}

// renderConfigFromFacts renders a node's configuration with the facts that FactsScript printed.
func renderConfigFromFacts(h *remote.Host, n Node, facts string) ([]byte, error) {
	f, err := parseFacts(h.Name(), facts)
	if err != nil {
		return nil, err
	}
	return RenderConfig(n, f)
}

// receiveConfigScript reads a length and that many bytes, and stores them as the configuration, readable by root only,
// if it differs. It sets $changed.
const receiveConfigScript = `
read -r size
mkdir -p /etc/rancher/rke2
new=$(mktemp ` + configFile + `.XXXXXX)
trap 'rm -f "$new"' EXIT; trap 'exit 1' TERM HUP
head -c "$size" >"$new"
[ "$(wc -c <"$new")" -eq "$size" ] || { echo "the configuration arrived truncated" >&2; exit 65; }
changed=0
if ! cmp -s "$new" ` + configFile + `; then mv -f "$new" ` + configFile + `; changed=1; fi
`
