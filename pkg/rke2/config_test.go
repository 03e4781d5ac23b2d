package rke2

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var twoCores = Facts{Arch: "amd64", Systemd: true, Prefix: "/usr/local", CPUs: 2, MemoryBytes: 8 << 30}

func TestConfigMatchesTheGoldenFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		node  Node
		facts Facts
	}{
		"head": {facts: twoCores, node: Node{
			Role: api.RoleHead, NodeName: "sky-a-0-x1", NodeIP: "10.0.0.4", ExternalIP: "203.0.113.7",
			TLSSANs: []string{"a.example.org", "10.0.0.4"}, AgentToken: "0123456789abcdef",
			SnapshotEvery: 30 * time.Minute,
			Labels:        map[string]string{"zone": "b", "example.org/team": "x"},
		}},
		"head-of-many": {facts: twoCores, node: Node{
			Role: api.RoleHead, NodeName: "sky-a-0-x1", NodeIP: "10.0.0.4", AgentToken: "0123456789abcdef",
			PodCIDR: "10.64.0.0/15",
		}},
		"worker": {facts: twoCores, node: Node{
			Role: api.RoleWorker, NodeName: "sky-a-1-x2", NodeIP: "10.0.0.5", ExternalIP: "10.0.0.5",
			Server: "https://10.0.0.4:9345", PodCIDR: "10.42.0.0/16",
		}},
		"worker-of-a-pool": {facts: twoCores, node: Node{
			Role: api.RoleWorker, NodeName: "sky-a-4-x2", NodeIP: "10.0.0.8", Server: "https://10.0.0.4:9345",
			Labels: map[string]string{"tier": "train", api.NodeLabelPool: "gpu"},
			Taints: []string{"nvidia.com/gpu=present:NoSchedule", "dedicated:NoExecute"},
		}},
		"worker-limited": {facts: Facts{CPUs: 16, MemoryBytes: 64<<30 + 12<<10}, node: Node{
			Role: api.RoleWorker, NodeName: "sky-a-1-x2", NodeIP: "10.0.0.5", Server: "https://10.0.0.4:9345",
			CPUs: 1.5, MemoryGiB: 4,
		}},
		"head-with-settings": {facts: twoCores, node: withSettings(Node{
			Role: api.RoleHead, NodeName: "sky-a-0-x1", NodeIP: "10.0.0.4", AgentToken: "0123456789abcdef",
		})},
		"worker-with-settings": {facts: twoCores, node: withSettings(Node{
			Role: api.RoleWorker, NodeName: "sky-a-1-x2", NodeIP: "10.0.0.5", Server: "https://10.0.0.4:9345",
		})},
		"worker-on-cgroup-v1": {facts: Facts{CPUs: 2, CgroupV1: true, Release: "v1.36.3+rke2r1"}, node: Node{
			Role: api.RoleWorker, NodeName: "sky-a-1-x2", NodeIP: "10.0.0.5", Server: "https://10.0.0.4:9345",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := RenderConfig(tt.node, tt.facts)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if err := yaml.UnmarshalStrict(got, &map[string]any{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// withSettings is a node with keys of its cluster's spec: of servers and of all, merged ones, and ones of skyctl, which
// validation refuses.
func withSettings(n Node) Node {
	n.CNI, n.Ingress, n.ServiceLB = "cilium", "traefik", true
	n.Config = map[string]api.ConfigValue{"profile": {"cis"}, "selinux": {"true"},
		"kube-apiserver-arg": {"audit-log-maxage=30", "audit-log-maxbackup=10"}, "disable": {"rke2-metrics-server"},
		"kubelet-arg": {"max-pods=200", "eviction-hard=memory.available<1Gi"},
		"tls-san":     {"api.example.com", "10.0.0.4"},
		"token":       {"not-this"}, "node-name": {"not-this"}, "cni": {"not-this"}, "cluster-init": {"not-this"}}
	return n
}

func TestKeysOfSkyctlWinOverThoseOfTheSpec(t *testing.T) {
	for _, n := range []Node{{Role: api.RoleHead, NodeName: "n", NodeIP: "10.0.0.4", AgentToken: "t"},
		{Role: api.RoleWorker, NodeName: "n", NodeIP: "10.0.0.5", Server: "https://10.0.0.4:9345"}} {
		plain, err := RenderConfig(n, twoCores)
		if err != nil {
			t.Fatal(err)
		}
		var own, all map[string]any
		n.Config = map[string]api.ConfigValue{}
		if err := yaml.Unmarshal(plain, &own); err != nil {
			t.Fatal(err)
		}
		for key := range own {
			n.Config[key] = api.ConfigValue{"not-this"}
		}
		got, err := RenderConfig(n, twoCores)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(got, &all); err != nil {
			t.Fatal(err)
		}
		for key, want := range own {
			if !strings.HasPrefix(fmt.Sprint(all[key]), strings.TrimSuffix(fmt.Sprint(want), "]")) {
				t.Errorf("%s: %s is %v, want %v", n.Role, key, all[key], want)
			}
		}
	}
}

func TestArgumentsOfTheSpecComeAfterThoseOfMaxNodes(t *testing.T) {
	n := Node{Role: api.RoleHead, NodeName: "n", NodeIP: "10.0.0.4", AgentToken: "t", PodCIDR: "10.64.0.0/15",
		Config: map[string]api.ConfigValue{"kube-controller-manager-arg": {"terminated-pod-gc-threshold=9",
			"node-cidr-mask-size-ipv4=26"}}}
	b, err := RenderConfig(n, twoCores)
	var got map[string]any
	if err := errors.Join(err, yaml.Unmarshal(b, &got)); err != nil {
		t.Fatal(err)
	}
	if args := fmt.Sprint(got["kube-controller-manager-arg"]); args !=
		"[node-cidr-mask-size-ipv4=24 terminated-pod-gc-threshold=9]" {
		t.Errorf("got %s", args)
	}
}

func TestResourcesBeyondTheRequestAreReserved(t *testing.T) {
	for _, tt := range []struct {
		name        string
		cpus, mem   float64
		wantReserve string
	}{
		{"no request", 0, 0, ""},
		{"half", 1, 4, "system-reserved=cpu=1000m,memory=4091904Ki"},
		{"a part of a core", 0.25, 0, "system-reserved=cpu=1750m"},
		{"no whole milli", 1.0004, 0, "system-reserved=cpu=999m"},
		{"only memory", 0, 1, "system-reserved=memory=7237632Ki"},
		{"all", 2, 8, ""},
		{"more than the machine has", 4, 16, ""},
		{"all but the eviction threshold", 2, 7.95, ""},
	} {
		got := strings.Join(renderKubeletArgs(Node{CPUs: tt.cpus, MemoryGiB: tt.mem}, twoCores), " ")
		if want := strings.TrimSpace(evictionHard + " " + tt.wantReserve); got != want {
			t.Errorf("%s: got %s, want %s", tt.name, got, want)
		}
	}
}

func TestCgroupV1IsAllowedWhereTheKubeletRefusesIt(t *testing.T) {
	for _, tt := range []struct {
		release string
		v1      bool
		want    bool
	}{
		{"v1.34.9+rke2r1", true, false},
		{"v1.35.0+rke2r1", true, true},
		{"v1.36.3+rke2r1-kit", true, true},
		{"v1.36.3+rke2r1", false, false},
		{"", true, false},
	} {
		args := renderKubeletArgs(Node{}, Facts{CPUs: 2, CgroupV1: tt.v1, Release: tt.release})
		if got := slices.Contains(args, "fail-cgroupv1=false"); got != tt.want {
			t.Errorf("release %q, cgroup version 1 %v: %v", tt.release, tt.v1, args)
		}
	}
}

func TestInvalidConfigIsRejected(t *testing.T) {
	head := Node{Role: api.RoleHead, NodeName: "n", NodeIP: "10.0.0.1", AgentToken: "t"}
	for name, change := range map[string]func(*Node){
		"no name":              func(n *Node) { n.NodeName = "" },
		"no address":           func(n *Node) { n.NodeIP = "" },
		"no role":              func(n *Node) { n.Role = "" },
		"no agent token":       func(n *Node) { n.AgentToken = "" },
		"worker, no server":    func(n *Node) { n.Role = api.RoleWorker },
		"server has no scheme": func(n *Node) { n.Role, n.Server = api.RoleWorker, "10.0.0.1" },
		"a role as label": func(n *Node) {
			n.Labels = map[string]string{"node-role.kubernetes.io/worker": "true"}
		},
		"Kubernetes' label": func(n *Node) { n.Labels = map[string]string{"kubernetes.io/arch": "x"} },
	} {
		n := head
		if change(&n); true {
			if b, err := RenderConfig(n, twoCores); err == nil {
				t.Errorf("%s: got\n%s", name, b)
			}
		}
	}
}

func TestMachineInThePodNetworkIsRefused(t *testing.T) {
	for podCIDR, refused := range map[string]bool{"": false, "10.42.0.0/16": false, "10.64.0.0/15": true} {
		for _, address := range []string{"10.42.0.7", "10.65.0.7"} {
			_, err := RenderConfig(Node{Role: api.RoleWorker, NodeName: "n", NodeIP: address, PodCIDR: podCIDR,
				Server: "https://10.0.0.4:9345"}, twoCores)
			want := refused && address == "10.65.0.7"
			if want != (err != nil) || want && (!IsFinal(err) || !strings.Contains(err.Error(), "max_nodes")) {
				t.Errorf("pods in %q, machine at %s: %v", podCIDR, address, err)
			}
		}
	}
}

func TestParseFacts(t *testing.T) {
	f, err := parseFacts("m", "arch=aarch64 systemd=1 prefix=/opt/rke2 cpus=8 memory_kib=16384\n")
	if want := (Facts{Arch: "arm64", Systemd: true, Prefix: "/opt/rke2", CPUs: 8, MemoryBytes: 16 << 20}); err != nil ||
		f != want {
		t.Errorf("got %+v, %v", f, err)
	}
	const sized = "arch=aarch64 systemd=1 prefix=/opt/rke2 cpus=8 memory_kib=16384 "
	for more, want := range map[string]Facts{
		"cgroup=1021994 mtu=1460 release=v1.36.3+rke2r1": {CgroupV1: true, MTU: 1460, Release: "v1.36.3+rke2r1"},
		"cgroup=63677270 mtu= release=":                  {},
		"cgroup= mtu=9001":                               {MTU: 9001},
	} {
		f, err := parseFacts("m", sized+more)
		if err != nil || f.CgroupV1 != want.CgroupV1 || f.MTU != want.MTU || f.Release != want.Release {
			t.Errorf("%q: got %+v, %v", more, f, err)
		}
	}
	for _, line := range []string{"", "arch=x86_64 systemd=1 prefix=/usr/local cpus= memory_kib=1",
		"arch=x86_64 systemd=1 prefix=/usr/local cpus=1 memory_kib="} {
		if _, err := parseFacts("m", line); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
	for _, line := range []string{"arch=riscv64 systemd=1 prefix=/p cpus=1 memory_kib=1",
		"arch=x86_64 systemd=0 prefix=/p cpus=1 memory_kib=1"} {
		if _, err := parseFacts("m", line); kindOf(err) != Unsupported || !IsFinal(err) {
			t.Errorf("%q: got %v", line, err)
		}
	}
}
