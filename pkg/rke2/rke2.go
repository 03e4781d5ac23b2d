// Package rke2 installs and runs RKE2 on machines: it pins a release, installs it, renders the configuration, starts
// the server and the agents, waits for them, and removes them again.
//
// Every function checks the state of the machine first and can be called again after an interruption. No function
// blocks on systemd.
package rke2

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Files of RKE2 that skyctl writes or reads, at their documented paths.
const (
	configFile    = "/etc/rancher/rke2/config.yaml"
	joinTokenFile = "/etc/rancher/rke2/join-token" //nolint:gosec // a path, not a token
	serverDir     = "/var/lib/rancher/rke2/server"
	kubeconfig    = "/etc/rancher/rke2/rke2.yaml"
	// stagingDir is a directory of skyctl, for artifacts that are not unpacked yet.
	stagingDir = "/var/lib/skyctl/artifacts"
	// SupervisorPort is the port at which agents join.
	SupervisorPort = 9345
	// APIPort is the port of the Kubernetes API.
	APIPort = 6443
)

// Node describes a machine in the configuration of RKE2.
type Node struct {
	Role     api.Role
	NodeName string
	NodeIP   string
	// ExternalIP is omitted if it equals NodeIP.
	ExternalIP string
	// Server is https://<head>:9345; workers only.
	Server string
	// TLSSANs are additional names and addresses in the API server's certificate; head only.
	TLSSANs []string
	// AgentToken is the short secret that workers use to join (see NewAgentToken); head only.
	AgentToken string
	// PodCIDR is the address range of the cluster's pods; empty is RKE2's default.
	PodCIDR string
	// EncryptPods encrypts the traffic of pods between machines, where strangers reach all ports; head only.
	EncryptPods bool
	// SnapshotEvery is the time between two snapshots of the server's own schedule; 0 takes none; head only.
	SnapshotEvery time.Duration
	// Labels and Taints are those with which the machine registers its Node; RKE2 does not change them afterwards. A
	// taint has the form KEY=VALUE:EFFECT or KEY:EFFECT.
	Labels map[string]string
	Taints []string
	// Registries and Env are the image registries and the environment of RKE2. If they are empty, those of the image
	// stay. Values of Env have one line.
	Registries []Registry
	Env        map[string]string
	// Config are further keys of the configuration, with their values; those that the role does not know are left out.
	// What skyctl sets itself wins.
	Config map[string]api.ConfigValue
	// CNI and Ingress are the network plugin and the ingress controller, and ServiceLB enables RKE2's ServiceLB; empty
	// leaves the choice to RKE2; head only.
	CNI, Ingress string
	ServiceLB    bool
	// CPUs and MemoryGiB are the resources allotted to the machine; 0 means all that it reports.
	CPUs, MemoryGiB float64
	// Restart restarts a running unit even if its configuration is unchanged: RKE2 may still use old addresses, because
	// an earlier call was interrupted between writing the configuration and the restart.
	Restart bool
}

// Credentials are the secrets of a running head.
type Credentials struct {
	// ServerToken and AgentToken are in the full form, which pins the cluster's CA.
	ServerToken, AgentToken string
	// Kubeconfig is the administrator's, with the server at 127.0.0.1.
	Kubeconfig []byte
}

// NewAgentToken generates a random agent token for a head.
func NewAgentToken() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("generating an agent token: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// unitName returns the systemd unit of a role.
func unitName(r api.Role) string {
	if r == api.RoleHead {
		return "rke2-server"
	}
	return "rke2-agent"
}
