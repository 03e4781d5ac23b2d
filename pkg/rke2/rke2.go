// Package rke2 brings RKE2 onto machines: it pins a release, installs it, renders the configuration, starts server and
// agents, waits for them, and takes it all away again.
//
// Every function looks before it acts and may be called again after it was cut short; none of them blocks on systemd.
package rke2

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Where RKE2 keeps what we write or read; the paths are its documented ones.
const (
	configFile    = "/etc/rancher/rke2/config.yaml"
	joinTokenFile = "/etc/rancher/rke2/join-token" //nolint:gosec // a path, not a token
	serverDir     = "/var/lib/rancher/rke2/server"
	kubeconfig    = "/etc/rancher/rke2/rke2.yaml"
	// stagingDir is ours: artifacts wait there until they are unpacked.
	stagingDir = "/var/lib/skyctl/artifacts"
	// SupervisorPort is where agents join.
	SupervisorPort = 9345
	// APIPort is the Kubernetes API's.
	APIPort = 6443
)

// Node is one machine as RKE2 is told of it.
type Node struct {
	Role     api.Role
	NodeName string
	NodeIP   string
	// ExternalIP is left out where it is NodeIP.
	ExternalIP string
	// Server is https://<head>:9345; workers only.
	Server string
	// TLSSANs are further names and addresses that the API server's certificate covers; head only.
	TLSSANs []string
	// AgentToken is the short secret that workers join with (see NewAgentToken); head only.
	AgentToken string
	Labels     map[string]string
	// CPUs and MemoryGiB are what the machine was given; 0 means what it shows.
	CPUs, MemoryGiB float64
	// Anew: RKE2 holds addresses of before. One that runs is started anew, even if its configuration was written
	// already: whoever wrote it may have been interrupted before the restart.
	Anew bool
}

// Credentials are the secrets of a running head.
type Credentials struct {
	// ServerToken and AgentToken are in their full form, which pins the cluster's CA.
	ServerToken, AgentToken string
	// Kubeconfig is the administrator's, with the server at 127.0.0.1.
	Kubeconfig []byte
}

// NewAgentToken makes a random agent token for a head's Node.
func NewAgentToken() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("making an agent token: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// unitName is the systemd unit of a role.
func unitName(r api.Role) string {
	if r == api.RoleHead {
		return "rke2-server"
	}
	return "rke2-agent"
}
