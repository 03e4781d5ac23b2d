package rke2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

// IsolatedServer is a server on a machine apart, whose state is that of a snapshot. It is etcd and the API server
// alone: nothing schedules pods or creates them, so no workload of the snapshot starts. Its Node has a name that is in
// no cluster, so no pod of the snapshot is bound to it.
type IsolatedServer struct {
	NodeName, NodeIP string
	// Token is the server token of the time of the snapshot.
	Token string
	// PodCIDR is the address range of the cluster's pods; empty is RKE2's default.
	PodCIDR string
}

// Directories of an isolated server. MemoryDirs get credentials of the cluster, and must not be on a disk; DiskDirs,
// which lie below them, get container images and programs only.
var (
	IsolatedMemoryDirs = []string{"/var/lib/rancher", "/var/lib/kubelet", "/etc/rancher", "/var/log"}
	IsolatedDiskDirs   = []string{"/var/lib/rancher/rke2/agent/containerd", imagesDir, "/var/lib/rancher/rke2/data"}
)

// IsolatedSnapshotFile is where the snapshot for an isolated server is expected.
const IsolatedSnapshotFile = "/var/lib/rancher/snapshot"

// SnapshotRefused: RKE2 cannot be restored from a snapshot. It is damaged, or its token is another one.
const SnapshotRefused = "SnapshotRefused"

// refusals are what RKE2 and etcd say of a snapshot that cannot be restored, and what that means.
var refusals = [][2]string{
	{"expected sha256", "its checksum is wrong"},
	{"missing hash", "it is not complete"},
	{"different token", "the server token of its time is another one"},
	{"invalid database", "it is not a database of etcd"},
	{"snapshot file integrity", "its checksum is wrong"},
}

// RestoreIsolated restores an isolated server from the snapshot at IsolatedSnapshotFile, which it removes, and starts
// it. If the snapshot cannot be restored, the error's kind is SnapshotRefused.
func RestoreIsolated(ctx context.Context, h *remote.Host, s IsolatedServer) error {
	f, err := GatherFacts(ctx, h)
	if err != nil {
		return err
	}
	config, err := renderIsolatedConfig(s, f)
	if err != nil {
		return err
	}
	if err := h.WriteFile(ctx, configFile, config, 0o600); err != nil {
		return err
	}
	const doing = "restoring the snapshot"
	if _, err := h.RunScript(ctx, doing, FactsScript+restoreIsolatedScript); err != nil {
		return explainRefusal(h, doing, err)
	}
	_, err = h.RunScript(ctx, "starting the restored server", "set -e\nchanged=0; unit=rke2-server"+startScript)
	return err
}

const restoreIsolatedScript = `
log=$(mktemp); trap 'rm -f "$log"' EXIT; trap 'exit 1' TERM HUP
"$prefix/bin/rke2" server --cluster-reset --cluster-reset-restore-path=` + IsolatedSnapshotFile + ` >"$log" 2>&1
status=$?
rm -f ` + IsolatedSnapshotFile + `
[ $status = 0 ] || tail -n 20 "$log" >&2
exit $status`

// renderIsolatedConfig renders the configuration of a control plane alone. Sources of the keys:
// docs.rke2.io/reference/server_config, and rancher/rke2 pkg/cli/cmds/server.go for disable-controller-manager, which
// is not in the documentation. RKE2 still runs a kubelet, for etcd and the API server, and its HelmChart controller,
// whose Jobs get no pods.
func renderIsolatedConfig(s IsolatedServer, f Facts) ([]byte, error) {
	if s.NodeName == "" || s.NodeIP == "" || s.Token == "" {
		return nil, errors.New("rendering the configuration of an isolated server: it has no name, address or token")
	}
	c := map[string]any{
		"node-name": s.NodeName, "node-ip": s.NodeIP, "advertise-address": s.NodeIP, "token": s.Token,
		"write-kubeconfig-mode":      "0600",
		"cni":                        "none",
		"disable-controller-manager": true,
		"disable-scheduler":          true,
		"disable-kube-proxy":         true,
		"disable-cloud-controller":   true,
		"etcd-disable-snapshots":     true,
		// A pod that somebody bound to this Node all the same would be evicted, unless it tolerates everything.
		"node-taint": []string{"skyctl.sky-shift.org/isolated=true:NoExecute"},
	}
	if args := renderCgroupArgs(f); args != nil {
		c["kubelet-arg"] = args
	}
	maps.Copy(c, renderPodNetwork(s.PodCIDR))
	b, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("rendering the configuration of an isolated server: %w", err)
	}
	return append([]byte(writtenBySkyctl), b...), nil
}

// explainRefusal says what a failed restore means.
func explainRefusal(h *remote.Host, doing string, err error) error {
	var run *remote.RunError
	if !errors.As(err, &run) {
		return err
	}
	said := strings.Join(run.Tail, "\n")
	for _, r := range refusals {
		if strings.Contains(said, r[0]) {
			return &Error{Kind: SnapshotRefused, Machine: h.Name(), Lines: toRedactedLines(said), Permanent: true,
				Message: "RKE2 cannot be restored from the snapshot: " + r[1]}
		}
	}
	return &Error{Kind: InstallFailed, Machine: h.Name(), Message: doing + ": " + componentlog.FindCause(run.Tail),
		Lines: toRedactedLines(said), Permanent: true}
}
