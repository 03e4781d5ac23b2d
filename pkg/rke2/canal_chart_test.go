package rke2

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestPacketsOfPodsFitTheMachinesInterface(t *testing.T) {
	head := Node{Role: api.RoleHead}
	encrypted := Node{Role: api.RoleHead, EncryptPods: true}
	for _, tt := range []struct {
		name string
		node Node
		mtu  int
		want string
	}{
		{"as the chart", head, 1500, ""},
		{"unknown", head, 0, ""},
		{"GCP", head, 1460, "calico:\n  vethuMTU: 1410\n"},
		{"AWS", head, 9001, "calico:\n  vethuMTU: 8951\n"},
		{"encrypted", encrypted, 1500, "calico:\n  vethuMTU: 1420\nflannel:\n  backend: wireguard\n"},
		{"encrypted, as the chart", encrypted, 1530, "calico:\n  vethuMTU: 1450\nflannel:\n  backend: wireguard\n"},
		{"encrypted, unknown", encrypted, 0, "calico:\n  vethuMTU: 1420\nflannel:\n  backend: wireguard\n"},
		{"canal by name", Node{Role: api.RoleHead, CNI: "canal"}, 1460, "calico:\n  vethuMTU: 1410\n"},
		{"cilium", Node{Role: api.RoleHead, CNI: "cilium"}, 1460, ""},
		{"worker", Node{Role: api.RoleWorker}, 1460, ""},
	} {
		var got struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Spec     struct{ ValuesContent string }
		}
		rendered := renderCanalConfig(tt.node, Facts{MTU: tt.mtu})
		if err := yaml.Unmarshal(rendered, &got); err != nil {
			t.Errorf("%s: %v\n%s", tt.name, err, rendered)
		}
		if got.Spec.ValuesContent != tt.want || tt.want != "" && (got.Kind != "HelmChartConfig" ||
			got.Metadata.Name != "rke2-canal" || got.Metadata.Namespace != "kube-system") {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}

func TestCanalIsConfiguredBeforeTheFirstStartOnly(t *testing.T) {
	head := Node{Role: api.RoleHead, NodeName: "h", NodeIP: "203.0.113.7", AgentToken: "x", EncryptPods: true}
	own := manifestsDir + "/rke2-canal-config.yaml"
	for name, tt := range map[string]struct {
		prepare func(m *machine)
		wanted  bool
	}{
		"a new server":        {func(*machine) {}, true},
		"a server with data":  {func(m *machine) { m.Write(etcdDir+"/member/wal", "", 0o600) }, false},
		"an image with a own": {func(m *machine) { m.Write(own, "metadata:\n  name: rke2-canal\n", 0o600) }, false},
		"an image with others": {func(m *machine) {
			m.Write(manifestsDir+"/other.yaml", "metadata:\n  name: other\n", 0o600)
		}, true},
	} {
		m := newMachine(t)
		tt.prepare(m)
		for range 2 {
			if err := StartServer(t.Context(), m.Host, head); err != nil {
				t.Fatal(err)
			}
		}
		facts, err := GatherFacts(t.Context(), m.Host)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if tt.wanted {
			want = strings.TrimSpace(string(renderCanalConfig(head, facts)))
		}
		if got := m.RunShell("cat " + canalManifest + " 2>/dev/null; true"); got != want {
			t.Errorf("%s: the manifest is\n%s\nwant\n%s", name, got, want)
		}
		if tt.wanted {
			if mode := m.RunShell("stat -c %a " + canalManifest + " " + serverDir); mode != "600\n700" {
				t.Errorf("%s: modes %s", name, mode)
			}
		}
		if left := m.RunShell("ls /etc/rancher/rke2"); strings.Contains(left, "unused") {
			t.Errorf("%s: left behind: %s", name, left)
		}
	}
}

func TestServerThatKeepsItsCanalIsNotRestarted(t *testing.T) {
	head := Node{Role: api.RoleHead, NodeName: "h", NodeIP: "203.0.113.7", AgentToken: "x", EncryptPods: true}
	m := newMachine(t)
	m.Write(etcdDir+"/member/wal", "", 0o600)
	if err := StartServer(t.Context(), m.Host, head); err != nil {
		t.Fatal(err)
	}
	m.unit("rke2-server", "ActiveState=activating")
	if err := StartServer(t.Context(), m.Host, head); err != nil {
		t.Fatal(err)
	}
	if calls := m.RunShell("grep start /run/systemd/system/calls"); strings.Contains(calls, "restart") {
		t.Errorf("calls: %s", calls)
	}
}
