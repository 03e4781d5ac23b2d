package head

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// begin runs the steps of a start before anything listens.
func begin(t *testing.T, dataDir, serverToken, agentToken string) (*Head, error) {
	t.Helper()
	h := &Head{opts: Options{
		DataDir: dataDir, NodeName: "head", NodeIP: "10.0.0.1", Token: serverToken, AgentToken: agentToken,
		Cluster: supervisor.ClusterConfig{ClusterDomain: "cluster.local"},
	}}
	for _, dir := range []string{h.serverPath("tls", "etcd"), h.serverPath("cred")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.makeCertificates(); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.creds, err = h.settleCredentials(); err != nil {
		return h, err
	}
	return h, h.writeTokenFiles()
}

func read(t *testing.T, h *Head, name string) string {
	t.Helper()
	data, err := os.ReadFile(h.serverPath(name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func TestTokenFilesAreFullAndKeptAcrossStarts(t *testing.T) {
	dir := t.TempDir()
	h, err := begin(t, dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	first := read(t, h, "token")
	parsed, err := token.Parse(first)
	if err != nil || parsed.User != token.ServerUser || parsed.CAHash == "" {
		t.Fatalf("token is %q: %+v, %v", first, parsed, err)
	}
	if got := read(t, h, "node-token"); got != first {
		t.Errorf("node-token is %s, token %s", got, first)
	}
	if target, err := os.Readlink(h.serverPath("node-token")); err != nil || target != h.serverPath("token") {
		t.Errorf("node-token links to %q, %v", target, err)
	}
	agent, err := token.Parse(read(t, h, "agent-token"))
	if err != nil || agent.User != token.NodeUser || agent.Password != parsed.Password {
		t.Errorf("agent token is %+v, %v", agent, err)
	}
	again, err := begin(t, dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, again, "token"); got != first {
		t.Errorf("second start: %s, first %s", got, first)
	}
}

func TestDistinctAgentTokenIsForAgentsOnly(t *testing.T) {
	h, err := begin(t, t.TempDir(), "for-servers", "for-agents")
	if err != nil {
		t.Fatal(err)
	}
	if h.creds.server != "for-servers" || h.creds.node != "for-agents" {
		t.Errorf("got %+v", h.creds)
	}
	if got := read(t, h, "agent-token"); !strings.HasSuffix(got, "::node:for-agents") {
		t.Errorf("agent-token is %s", got)
	}
}

func TestFullTokenNeedsTheCAItNames(t *testing.T) {
	full := token.Token{CAHash: strings.Repeat("ab", 32), User: token.ServerUser, Password: "x"}.FormatFull()
	if _, err := begin(t, t.TempDir(), full, ""); err == nil {
		t.Error("a full token of another CA is accepted")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "server", "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	ca, err := pki.LoadOrCreateCA(filepath.Join(dir, "server", "tls"), "server-ca", "made-before")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := token.HashCA(ca.PEM)
	if err != nil {
		t.Fatal(err)
	}
	full = token.Token{CAHash: hash, User: token.ServerUser, Password: "x"}.FormatFull()
	if h, err := begin(t, dir, full, ""); err != nil || read(t, h, "token") != full {
		t.Errorf("a full token of a CA made before: %v", err)
	}
}

func TestServiceAddressesAreTheFirstAndTheTenth(t *testing.T) {
	for cidr, want := range map[string][2]string{"10.43.0.0/16": {"10.43.0.1", "10.43.0.10"},
		"172.30.8.0/24": {"172.30.8.1", "172.30.8.10"}} {
		first, err := firstServiceAddress(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if tenth, err := ClusterDNSAddress(cidr); err != nil || first != want[0] || tenth != want[1] {
			t.Errorf("%s: got %s and %s, %v", cidr, first, tenth, err)
		}
	}
	for _, bad := range []string{"", "10.43.0.0", "fd00::/108"} {
		if got, err := firstServiceAddress(bad); err == nil {
			t.Errorf("%q: got %s", bad, got)
		}
	}
}

func TestKubeconfigModesAreOctal(t *testing.T) {
	for in, want := range map[string]os.FileMode{"": 0o600, "0644": 0o644, "640": 0o640} {
		if got, err := ParseKubeconfigMode(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
	if _, err := ParseKubeconfigMode("rw"); err == nil {
		t.Error("rw is taken for a mode")
	}
}
