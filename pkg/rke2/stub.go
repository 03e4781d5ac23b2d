// Package rke2 brings RKE2 onto machines: it pins a release, installs it, renders the configuration, starts server and
// agents and waits for them, and takes it all away again.
package rke2

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// Node is one machine as RKE2 is told of it.
type Node struct {
	Role       api.Role
	NodeName   string
	NodeIP     string
	ExternalIP string
	// Server is https://<head>:9345; workers only.
	Server string
	// TLSSANs are further names and addresses that the API server's certificate covers; head only.
	TLSSANs []string
	// AgentToken is the short secret that workers join with (NewAgentToken); head only.
	AgentToken string
	Labels     map[string]string
	// CPUs and MemoryGiB are what the machine was given; 0 means what it shows.
	CPUs, MemoryGiB float64
}

// Facts is what a machine shows of itself.
type Facts struct {
	// Arch is amd64 or arm64.
	Arch string
	// Systemd says that systemd is what runs the machine.
	Systemd bool
	// Prefix is where RKE2 goes: /usr/local, or /opt/rke2 where that can't be written.
	Prefix string
	// CPUs and MemoryBytes are what the kubelet will report as capacity.
	CPUs        int
	MemoryBytes int64
}

// Credentials are the secrets of a running head.
type Credentials struct {
	// ServerToken and AgentToken are in their full K10 form.
	ServerToken, AgentToken string
	// Kubeconfig is the administrator's, with the server at 127.0.0.1.
	Kubeconfig []byte
}

// NewAgentToken makes a random agent token for a head's Node.
func NewAgentToken() (string, error)                            { panic("not written yet") }
func Config(n Node, facts Facts) ([]byte, error)                { panic("not written yet") }
func Gather(ctx context.Context, h *remote.Host) (Facts, error) { panic("not written yet") }
func Resolve(ctx context.Context, version, source, sha256 string) (api.Artifacts, error) {
	panic("not written yet")
}
func Install(ctx context.Context, h *remote.Host, a api.Artifacts, progress func(string)) error {
	panic("not written yet")
}
func WriteConfig(ctx context.Context, h *remote.Host, n Node) error { panic("not written yet") }
func StartServer(ctx context.Context, h *remote.Host) error         { panic("not written yet") }
func WaitServer(ctx context.Context, h *remote.Host, progress func(string)) error {
	panic("not written yet")
}
func FetchCredentials(ctx context.Context, h *remote.Host) (Credentials, error) {
	panic("not written yet")
}

// JoinAgent starts the agent with the head's full agent token.
func JoinAgent(ctx context.Context, h *remote.Host, n Node, token string) error {
	panic("not written yet")
}
func WaitAgent(ctx context.Context, h *remote.Host, progress func(string)) error {
	panic("not written yet")
}
func Journal(ctx context.Context, h *remote.Host, role api.Role, lines int) ([]string, error) {
	panic("not written yet")
}
func Stop(ctx context.Context, h *remote.Host, role api.Role) error { panic("not written yet") }
func Uninstall(ctx context.Context, h *remote.Host) error           { panic("not written yet") }
