package preflight

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// goodFacts are those of a machine on which nothing is wrong.
func goodFacts() Facts {
	return Facts{
		Facts: rke2.Facts{Arch: "amd64", Systemd: true, Prefix: "/usr/local", CPUs: 2, MemoryBytes: 38 << 30 / 10},
		Disks: []disk{{"/var/lib/rancher", 100 << 30, 50 << 30}}, Distribution: []string{"ubuntu", "debian"},
		Name: "Ubuntu 24.04", Modules: map[string]bool{"overlay": true, "vxlan": true, "br_netfilter": true},
		Controllers: []string{"cpuset", "cpu", "io", "memory"}, Capabilities: 0x1ffffffffff,
		Units: map[string]bool{"unattended-upgrades.service": true}, InputRules: []string{"-P INPUT ACCEPT"},
		Listeners:   []listener{{address: "0.0.0.0", port: 22, program: "sshd"}},
		NameServers: 1, InotifyInstances: 8192, InotifyWatches: 1 << 20, Source: &sourceContact{},
		Contacts: map[string]peerContact{"10.0.0.1": {reached: true}},
	}
}

var goodServer = Requirements{Role: api.RoleHead, Cloud: "gcp", Address: "10.0.0.2", VXLAN: true, Overlay: OverlayPort,
	SourceURL: "https://example.org/rke2", Peers: []Peer{{"sky-x-0", "10.0.0.1", 22}}}

// The rules of the image of Ubuntu on OCI.
var ociRules = []string{"-P INPUT ACCEPT", "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
	"-A INPUT -p icmp -j ACCEPT", "-A INPUT -i lo -j ACCEPT",
	"-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT",
	"-A INPUT -j REJECT --reject-with icmp-host-prohibited"}

func TestRulesFindWhatIsWrong(t *testing.T) {
	const problem, warning = api.FindingProblem, api.FindingWarning
	for name, c := range map[string]struct {
		change   func(*Facts, *Requirements)
		check    string // "" if nothing is wrong
		severity api.FindingSeverity
		says     string
	}{
		"a good machine": {change: func(*Facts, *Requirements) {}},
		"no systemd": {func(f *Facts, _ *Requirements) {
			f.Unsupported = "RKE2 needs systemd"
		}, checkPlatform, problem, "systemd"},
		"Rocky Linux": {func(f *Facts, _ *Requirements) {
			f.Distribution = []string{"rocky", "rhel", "centos"}
		}, checkDistribution, problem, "rke2-selinux"},
		"Amazon Linux": {func(f *Facts, _ *Requirements) {
			f.Distribution = []string{"amzn", "fedora"}
		}, checkDistribution, problem, "--image_id"},
		"Rocky, container": {change: func(f *Facts, _ *Requirements) {
			f.Distribution, f.Container = []string{"rocky"}, "docker"
		}},
		"SLES":    {change: func(f *Facts, _ *Requirements) { f.Distribution = []string{"sles", "suse"} }},
		"one CPU": {func(f *Facts, _ *Requirements) { f.CPUs = 1 }, checkSize, warning, "2 CPUs and 4 GiB"},
		"2 GiB": {func(f *Facts, _ *Requirements) {
			f.MemoryBytes = 2 << 30
		}, checkSize, warning, "2.0 GiB"},
		"a small worker": {change: func(f *Facts, r *Requirements) { f.CPUs, r.Role = 1, api.RoleWorker }},
		"no memory cgroup": {func(f *Facts, _ *Requirements) {
			f.Controllers = []string{"cpu", "cpuset"}
		}, checkCgroups, problem, "memory"},
		"no cpuset in version 2": {change: func(f *Facts, _ *Requirements) {
			f.Controllers = []string{"cpu", "memory"}
		}},
		"no cpuset in version 1": {func(f *Facts, _ *Requirements) {
			f.CgroupV1, f.Controllers = true, []string{"cpu", "cpuacct", "memory"}
		}, checkCgroups, problem, "cpuset"},
		"no vxlan": {func(f *Facts, _ *Requirements) {
			f.Modules["vxlan"] = false
		}, checkModules, problem, "linux-modules-extra"},
		"vxlan not needed": {change: func(f *Facts, r *Requirements) { f.Modules["vxlan"], r.VXLAN = false, false }},
		"no wireguard": {func(f *Facts, r *Requirements) {
			f.Modules["wireguard"], r.WireGuard = false, true
		}, checkModules,
			problem, "encrypted"},
		"modules unknown": {change: func(f *Facts, _ *Requirements) { f.Modules = nil }},
		"no overlay": {func(f *Facts, _ *Requirements) {
			f.Modules["overlay"] = false
		}, checkModules, problem, "containerd"},
		"no br_netfilter": {func(f *Facts, _ *Requirements) {
			f.Modules["br_netfilter"] = false
		}, checkModules, warning, "bridge"},
		"confined container": {func(f *Facts, r *Requirements) {
			f.Container, f.Capabilities, r.Release = "docker", 0x1fffeffffff, "v1.36.4+rke2r1"
		}, checkCapabilities, problem, "CAP_SYS_RESOURCE"},
		"confined container of a kit": {func(f *Facts, r *Requirements) {
			f.Container, f.Capabilities, r.Release = "docker", 0x1fffeffffff, "v1.36.4+rke2r1-kit"
		}, checkCapabilities, warning, "CAP_SYS_RESOURCE"},
		"confined container of a cluster that runs in such": {func(f *Facts, r *Requirements) {
			f.Container, f.Capabilities, r.Release, r.CloudProven = "docker", 0x1fffeffffff, "v1.36.4+rke2r1", true
		}, checkCapabilities, warning, "CAP_SYS_RESOURCE"},
		"container with all capabilities": {change: func(f *Facts, r *Requirements) {
			f.Container, r.Release = "docker", "v1.36.4+rke2r1"
		}},
		"SELinux": {func(f *Facts, _ *Requirements) { f.SELinux = true }, checkSELinux, problem, "permissive"},
		"fapolicyd": {func(f *Facts, _ *Requirements) {
			f.Units["fapolicyd"] = true
		}, checkService, problem, "disable --now fapolicyd"},
		"fapolicyd off": {change: func(f *Facts, _ *Requirements) { f.Units["fapolicyd"] = false }},
		"nm-cloud-setup": {func(f *Facts, _ *Requirements) {
			f.Units["nm-cloud-setup.timer"] = true
		}, checkService, problem, "routes"},
		"full disk": {func(f *Facts, _ *Requirements) {
			f.Disks[0].free = 1 << 30
		}, checkDisk, problem, "--disk_size"},
		"etcd is there": {func(f *Facts, _ *Requirements) {
			f.Listeners = append(f.Listeners, listener{address: "127.0.0.1", port: 2379, program: "etcd"})
		}, checkPorts, problem, "etcd listens on port 2379/tcp"},
		"RKE2 that pulls its images": {change: func(f *Facts, _ *Requirements) {
			f.Listeners = []listener{{address: "*", port: 9345, program: "rke2"}}
		}},
		"etcd of RKE2": {change: func(f *Facts, _ *Requirements) {
			f.HasRun, f.Listeners = true, []listener{{address: "127.0.0.1", port: 2379, program: "etcd"}}
		}},
		"etcd on a worker": {change: func(f *Facts, r *Requirements) {
			r.Role, f.Listeners = api.RoleWorker, []listener{{address: "::", port: 2379}}
		}},
		"at another address": {change: func(f *Facts, _ *Requirements) {
			f.Listeners = []listener{{address: "192.168.9.9", port: 10250}}
		}},
		"kubelet at its address": {func(f *Facts, _ *Requirements) {
			f.Listeners = []listener{{address: "10.0.0.2", port: 10250}}
		},
			checkPorts, problem, "a program listens on port 10250/tcp"},
		"a web server": {func(f *Facts, _ *Requirements) {
			f.Listeners = []listener{{address: "*", port: 80, program: "nginx"}, {address: "::", port: 80}}
		}, checkPorts, warning, "nginx listens on port 80/tcp"},
		"VXLAN of another": {func(f *Facts, _ *Requirements) {
			f.Listeners = []listener{{udp: true, address: "0.0.0.0", port: 8472}}
		}, checkPorts, problem, "8472/udp"},
		"WireGuard of another": {func(f *Facts, r *Requirements) {
			f.Listeners = []listener{{udp: true, address: "0.0.0.0", port: 51820}}
			r.Overlay = EncryptedOverlayPort
		}, checkPorts, problem, "a program listens on port 51820/udp, which the pod network (WireGuard) needs"},
		"VXLAN of calico": {func(f *Facts, r *Requirements) {
			f.Listeners = []listener{{udp: true, address: "::", port: 4789, program: "vxlan"}}
			r.Overlay = StandardOverlayPort
		}, checkPorts, problem, "vxlan listens on port 4789/udp"},
		"other UDP": {change: func(f *Facts, _ *Requirements) {
			f.Listeners = []listener{{udp: true, address: "0.0.0.0", port: 4789}, {udp: true, address: "*", port: 0}}
		}},
		"firewalld": {func(f *Facts, _ *Requirements) {
			f.Units["firewalld"] = true
		}, checkFirewall, problem, "disable --now firewalld"},
		"ufw": {func(f *Facts, _ *Requirements) { f.UFW = true }, checkFirewall, warning, "ufw disable"},
		"rejecting iptables": {func(f *Facts, _ *Requirements) {
			f.InputRules = ociRules
		}, checkFirewall, warning, "9345/tcp"},
		"no name server": {func(f *Facts, _ *Requirements) { f.NameServers = 0 }, checkDNS, warning, "resolv.conf"},
		"no such name": {func(f *Facts, _ *Requirements) {
			f.Source = &sourceContact{6, "curl: (6) Could not resolve host"}
		},
			checkDNS, warning, "https://example.org/rke2: curl: (6)"},
		"name server that does not answer": {func(f *Facts, r *Requirements) {
			r.Registries, f.Resolved = []string{"registry-1.docker.io"}, map[string]bool{"registry-1.docker.io": false}
		}, checkDNS, warning, "cannot resolve registry-1.docker.io"},
		"registry known": {change: func(f *Facts, r *Requirements) {
			r.Registries, f.Resolved = []string{"registry-1.docker.io"}, map[string]bool{"registry-1.docker.io": true}
		}},
		"registry not tried": {change: func(_ *Facts, r *Requirements) {
			r.Registries = []string{"registry-1.docker.io"}
		}},
		"name of the source not told": {func(f *Facts, _ *Requirements) {
			f.Source = &sourceContact{28, "curl: (28) Resolving timed out after 8000 milliseconds"}
		}, checkDNS, warning, "Resolving timed out"},
		"source times out": {func(f *Facts, _ *Requirements) { f.Source = &sourceContact{28, "curl: (28) timed out"} },
			checkSource, warning, "rke2.source"},
		"installed, source away": {change: func(f *Facts, _ *Requirements) {
			f.Source, f.Release = &sourceContact{28, ""}, "v1"
		}},
		"head out of reach": {func(f *Facts, _ *Requirements) {
			f.Contacts["10.0.0.1"] = peerContact{message: "No route to host"}
		},
			checkReach, warning, "sky-x-0 at its private address 10.0.0.1: No route"},
		"inotify": {func(f *Facts, _ *Requirements) {
			f.InotifyInstances = 128
		}, checkInotify, warning, "max_user_instances=8192"},
	} {
		f, r := goodFacts(), goodServer
		c.change(&f, &r)
		found := FindProblems(f, r, 0)
		switch {
		case c.check == "" && len(found) > 0:
			t.Errorf("%s: found %v", name, found)
		case c.check == "":
		case len(found) != 1 || found[0].Check != c.check || found[0].Severity != c.severity ||
			!strings.Contains(found[0].String(), c.says):
			t.Errorf("%s: found %v", name, found)
		}
	}
}

func TestMachinesLikeThoseThatWorkAreNotRefused(t *testing.T) {
	bad := goodFacts()
	bad.Distribution, bad.SELinux, bad.Disks = []string{"rocky", "rhel"}, true, nil
	bad.Units = map[string]bool{"firewalld": true, "fapolicyd": true}
	bad.Modules, bad.Controllers = map[string]bool{"overlay": false, "vxlan": false}, []string{"cpu"}
	proven := goodServer
	proven.Proven = true
	if found := FindProblems(bad, proven, 0); len(found) != 7 || RefuseUnfit("m", found) != nil {
		t.Errorf("found %v", found)
	}
	ran := bad
	ran.HasRun = true
	if found := FindProblems(ran, goodServer, 0); len(found) != 7 || RefuseUnfit("m", found) != nil {
		t.Errorf("RKE2 has run: found %v", found)
	}
	if err := RefuseUnfit("m", FindProblems(bad, goodServer, 0)); err == nil {
		t.Error("a new cluster gets the machine")
	}
	bad.Disks = []disk{{"/var/lib/rancher", 100 << 30, 0}}
	bad.Listeners = []listener{{address: "0.0.0.0", port: 10250}}
	err := RefuseUnfit("m", FindProblems(bad, proven, time.Hour))
	if err == nil || !strings.Contains(err.Error(), "it has 3 problems") {
		t.Errorf("got %v", err)
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	f := goodFacts()
	f.SELinux, f.UFW, f.Disks[0].free = true, true, 0
	found := FindProblems(f, goodServer, -time.Hour)
	if len(found) != 4 || found[3].Severity != api.FindingWarning {
		t.Errorf("problems do not come first: %v", found)
	}
	err := RefuseUnfit("sky-x-0", found)
	if errorKind(err) != rke2.MachineUnfit || !rke2.IsFinal(err) {
		t.Fatalf("got %v", err)
	}
	for _, says := range []string{"machine sky-x-0: it has 3 problems: (1) its clock is 1h0m0s behind", "timedatectl",
		"(2) SELinux", "(3) 0.0 GiB of 100.0 GiB are free"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	if strings.Contains(err.Error(), "ufw") {
		t.Errorf("%q tells of a warning", err)
	}
	if err := RefuseUnfit("m", FindProblems(goodFacts(), goodServer, -time.Hour)); errorKind(err) != rke2.ClockSkew {
		t.Errorf("one problem: %v", err)
	}
	if err := RefuseUnfit("m", FindProblems(goodFacts(), goodServer, 0)); err != nil {
		t.Errorf("a good machine: %v", err)
	}
}

func TestRejectingInputIsRecognised(t *testing.T) {
	skyPilots := "-A INPUT -i ens3 -m state --state NEW,RELATED,ESTABLISHED -j ACCEPT"
	ours := "-A INPUT -i ens3 -m state --state NEW,RELATED,ESTABLISHED -m comment --comment skyctl -j ACCEPT"
	for name, c := range map[string]struct {
		rules []string
		want  bool
	}{
		"none":              {nil, false},
		"accept":            {[]string{"-P INPUT ACCEPT"}, false},
		"OCI's image":       {ociRules, true},
		"SkyPilot's rule":   {append([]string{skyPilots}, ociRules...), false},
		"skyctl's rule":     {append([]string{ociRules[0], ours}, ociRules[1:]...), false},
		"drop by policy":    {[]string{"-P INPUT DROP", "-A INPUT -i lo -j ACCEPT"}, true},
		"policy, all open":  {[]string{"-P INPUT DROP", "-A INPUT -j ACCEPT"}, false},
		"one port rejected": {[]string{"-P INPUT ACCEPT", "-A INPUT -p tcp -m tcp --dport 25 -j REJECT"}, false},
		"another chain":     {[]string{"-P INPUT ACCEPT", "-A INPUT -j ufw-before-input"}, false},
		"accepted too late": {append(append([]string{}, ociRules...), skyPilots), true},
	} {
		if got := rejectsInput(c.rules); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMendsAreOnlyForWhatSkyctlMayChange(t *testing.T) {
	bad := goodFacts()
	bad.InotifyWatches, bad.InputRules, bad.Units = 8192, ociRules, map[string]bool{"firewalld": true,
		"apt-daily.service": false}
	for _, c := range []struct {
		cloud, container string
		want             []mend
	}{
		{"gcp", "", []mend{mendInotify, mendUpgrades}},
		{"oci", "", []mend{mendInotify, mendUpgrades, mendFirewalld, mendInput}},
		{"docker", "docker", nil},
	} {
		bad.Container = c.container
		r := Requirements{Cloud: c.cloud}
		if got := planMends(bad, r); strings.Join(names(got), ";") != strings.Join(names(c.want), ";") {
			t.Errorf("%s: %q", c.cloud, got)
		}
		left := FindProblems(bad.assumeMended(r), r, 0)
		if wrong := len(left) > 0; wrong != (c.cloud != "oci") {
			t.Errorf("%s: found after the mends: %v", c.cloud, left)
		}
	}
	if got := planMends(Facts{}, Requirements{Cloud: "oci"}); len(got) > 0 {
		t.Errorf("a good machine: %q", got)
	}
}

func names(mends []mend) []string {
	var all []string
	for _, m := range mends {
		all = append(all, string(m))
	}
	return all
}

func TestMachinesWithSmallerPacketsThanPodsSendAreReported(t *testing.T) {
	for _, tt := range []struct {
		mtu, pods int
		encrypted bool
		says      string
	}{
		{1500, 1450, false, ""},
		{9001, 1450, false, ""},
		{0, 1450, false, ""},
		{1460, 0, false, ""},
		{1460, 1450, false, "takes packets of 1460 bytes, and those of pods need 1500"},
		{1500, 8951, false, "need 9001"},
		{1500, 1420, true, ""},
		{1460, 1420, true, "need 1500"},
	} {
		found := FindSmallPackets(tt.mtu, Requirements{PodMTU: tt.pods, WireGuard: tt.encrypted})
		if len(found) > 1 || (len(found) == 1) != (tt.says != "") || tt.says != "" &&
			(found[0].Severity != api.FindingWarning || !strings.Contains(found[0].Message, tt.says)) {
			t.Errorf("%+v: %+v", tt, found)
		}
	}
}
