package computer

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/diskspace"
)

// newGoodFacts returns the facts of a computer on which nothing is wrong.
func newGoodFacts() Facts {
	lan, out := netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("0.0.0.0/0")
	return Facts{
		Capabilities: 1<<41 - 1, CgroupVersion: 2, Controllers: strings.Fields("cpuset cpu io memory hugetlb pids"),
		MemoryTotal: 16, MemoryAvailable: 12, Interfaces: map[string]Interface{"eth0": {MTU: 1500}},
		Routes: []Route{{To: out, Interface: "eth0"}, {To: lan, Interface: "eth0"},
			{To: netip.MustParsePrefix("172.18.0.0/16"), Interface: "br-0123456789ab"}},
		Modules:          map[string]bool{"overlay": true, "vxlan": true, "br_netfilter": true, "ip_tables": true},
		InotifyInstances: 8192, InotifyWatches: 524288,
		ForwardRules: []string{"-P FORWARD DROP", "-A FORWARD -j DOCKER-USER"}, BridgeFilter: true,
		Clock: Clock{Now: time.Unix(2e9, 0), Past: time.Unix(2e9-60, 0), Known: true, Synchronized: true},
		State: StateDir{Path: "/home/ada/.skyconf", Space: newSpace(100, 50), SyncLatency: 3 * time.Millisecond},
		Engine: Engine{Address: "unix:///var/run/docker.sock", State: EngineAnswers, Version: "28.0.1", System: "linux",
			Product: "Debian GNU/Linux 12 (bookworm)", Host: "ada", OwnHost: "ada", Driver: "overlay2", CPUs: 8,
			MemoryGiB: 16, RootDir: "/var/lib/docker", Space: newSpace(100, 50),
			Networks: []Network{{Name: "bridge", MTU: 1500, Subnets: prefixes("172.17.0.0/16")},
				{Name: "skyctl-1", Own: true, MTU: 1500, Subnets: prefixes("172.18.0.0/16")}}},
	}
}

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, s := range all {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

func newSpace(totalGiB, freeGiB uint64) diskspace.Space {
	return diskspace.Space{Total: totalGiB * gib, Free: freeGiB * gib, Files: 6_000_000, FreeFiles: 5_000_000}
}

// route adds a route.
func route(to, through string) func(*Facts) {
	return func(f *Facts) {
		f.Routes = append(f.Routes, Route{To: netip.MustParsePrefix(to), Interface: through})
	}
}

// ruleCases are computers with one thing wrong: what is wrong, what is found, and words of the finding with its fix.
var ruleCases = []struct {
	name     string
	change   func(*Facts)
	check    string
	severity api.FindingSeverity
	words    []string
}{
	{"no engine", func(f *Facts) { f.Engine = Engine{Address: "unix:///x", State: EngineAbsent} }, checkEngine,
		api.FindingProblem, []string{"unix:///x", "none is installed", "apt-get install docker.io"}},
	{"an engine that does not run", func(f *Facts) { f.Engine = Engine{Address: "unix:///x", State: EngineNotRunning} },
		checkEngine, api.FindingProblem, []string{"systemctl start docker", "DOCKER_HOST"}},
	{"no permission", func(f *Facts) { f.Engine = Engine{State: EngineForbidden} }, checkEngine, api.FindingProblem,
		[]string{"may not use", "usermod -aG docker", "skyctl server restart"}},
	{"a permission that is new", func(f *Facts) {
		f.Engine = Engine{State: EngineForbidden, InGroup: true}
	}, checkEngine,
		api.FindingProblem, []string{"log out and in again"}},
	{"an engine that hangs", func(f *Facts) { f.Engine = Engine{State: EngineSilent, Answer: "EOF"} }, checkEngine,
		api.FindingProblem, []string{"EOF", "journalctl -u docker"}},
	{"an old engine", func(f *Facts) { f.Engine.Version = "19.03.15" }, checkEngineVersion, api.FindingProblem,
		[]string{"19.03.15", "20.10 or newer"}},
	{"an old minor version", func(f *Facts) { f.Engine.Version = "20.9.1" }, checkEngineVersion, api.FindingProblem,
		[]string{"20.10 or newer"}},
	{"Windows containers", func(f *Facts) { f.Engine.System = "windows" }, checkEngineSystem, api.FindingProblem,
		[]string{"windows containers"}},
	{"rootless", func(f *Facts) { f.Engine.Rootless = true }, checkRootless, api.FindingProblem,
		[]string{"cannot reach", "docs.docker.com/engine/install"}},
	{"mapped users", func(f *Facts) { f.Engine.UserNamespaces = true }, checkUserNamespaces, api.FindingWarning,
		[]string{"userns-remap"}},
	{"Docker Desktop", func(f *Facts) { f.Engine.Product = "Docker Desktop" }, checkDesktop, api.FindingProblem,
		[]string{"virtual machine"}},
	{"an engine over SSH", func(f *Facts) { f.Engine.Address = "ssh://ada@far" }, checkRemote, api.FindingProblem,
		[]string{"ssh://ada@far"}},
	{"an engine elsewhere", func(f *Facts) { f.Engine.Address = "tcp://10.0.0.9:2376" }, checkRemote,
		api.FindingWarning, []string{"10.0.0.9", "route"}},
	{"the engine outside", func(f *Facts) { f.Container, f.Engine.OwnHost = "docker", "3f2a" }, checkRemote,
		api.FindingWarning, []string{"in a container (docker)"}},
	{"no file types", func(f *Facts) { f.Engine.NoFileTypes = true }, checkStorage, api.FindingProblem,
		[]string{"d_type", "ftype=1"}},
	{"vfs", func(f *Facts) { f.Engine.Driver = "vfs" }, checkStorage, api.FindingWarning, []string{"overlay2"}},
	{"another clock", func(f *Facts) { f.Engine.Skew = -time.Hour }, checkClocksApart, api.FindingProblem,
		[]string{"1h0m0s behind ours"}},
	{"no memory controller", func(f *Facts) { f.Controllers = []string{"cpu", "cpuset", "pids"} }, checkCgroups,
		api.FindingProblem, []string{"memory", "cgroup_enable=memory"}},
	{"cgroup version 1", func(f *Facts) {
		f.CgroupVersion, f.Controllers = 1, strings.Fields("cpu cpuacct cpuset memory pids")
	}, checkCgroups, api.FindingWarning, []string{"version 1"}},
	{"confined", func(f *Facts) { f.Capabilities &^= capSysResource }, checkNested, api.FindingWarning,
		[]string{"CAP_SYS_RESOURCE"}},
	{"no overlay", func(f *Facts) { f.Modules["overlay"] = false }, checkModules, api.FindingProblem,
		[]string{"modprobe overlay"}},
	{"no iptables", func(f *Facts) { f.Modules["ip_tables"], f.Modules["nf_tables"] = false, false }, checkModules,
		api.FindingProblem, []string{"neither ip_tables nor nf_tables"}},
	{"no vxlan", func(f *Facts) { f.Modules["vxlan"] = false }, checkModules, api.FindingWarning, []string{"canal"}},
	{"no bridge filter", func(f *Facts) { f.Modules["br_netfilter"] = false }, checkModules, api.FindingWarning,
		[]string{"br_netfilter"}},
	{"low limits", func(f *Facts) { f.InotifyInstances = 128 }, checkInotify, api.FindingWarning,
		[]string{"128 inotify instances", "max_user_instances=8192"}},
	{"a small machine", func(f *Facts) { f.Engine.MemoryGiB = 3.8 }, checkMemory, api.FindingProblem,
		[]string{"3.8 GiB of memory", "needs 4 GiB"}},
	{"memory in use", func(f *Facts) { f.MemoryAvailable = 1.5 }, checkMemory, api.FindingWarning,
		[]string{"1.5 of 16.0 GiB"}},
	{"memory promised", func(f *Facts) { f.Engine.Hosts = HostTotals{Count: 4, MemoryGiB: 15} }, checkMemory,
		api.FindingWarning, []string{"4 running hosts may use 15.0 of the 16.0 GiB",
			"the server of another cluster 4.0"}},
	{"memory for a large cluster", func(f *Facts) {
		f.Engine.NewHosts = HostTotals{Count: 5, MemoryGiB: 20}
	}, checkMemory, api.FindingWarning, []string{"the cluster's 5 machines may use 20.0 GiB", "the computer has 16.0"}},
	{"memory for another cluster", func(f *Facts) {
		f.Engine.Hosts, f.Engine.NewHosts = HostTotals{Count: 1, MemoryGiB: 10}, HostTotals{Count: 1, MemoryGiB: 6.5}
	}, checkMemory, api.FindingWarning, []string{"1 running host may use 10.0 of", "the cluster's machine 6.5"}},
	{"one CPU", func(f *Facts) { f.Engine.CPUs = 1 }, checkCPUs, api.FindingProblem, []string{"1 CPUs", "needs 2"}},
	{"CPUs promised", func(f *Facts) { f.Engine.Hosts = HostTotals{Count: 4, CPUs: 8} }, checkCPUs,
		api.FindingWarning, []string{"the server of another cluster and 4 running hosts have 10 CPUs together",
			"the computer's 8"}},
	{"a first cluster with more CPUs than the computer", func(f *Facts) {
		f.Engine.NewHosts = HostTotals{Count: 5, CPUs: 10}
	}, checkCPUs, api.FindingWarning, []string{"the cluster's 5 machines have 10 CPUs together",
		"share the computer's 8", "nothing has to be done"}},
	{"a second cluster with more CPUs than are left", func(f *Facts) {
		f.Engine.Hosts, f.Engine.NewHosts = HostTotals{Count: 1, CPUs: 6}, HostTotals{Count: 1, CPUs: 2.5}
	}, checkCPUs, api.FindingWarning, []string{"the cluster's machine and 1 running host have 8.5 CPUs together"}},
	{"a full disk", func(f *Facts) { f.Engine.Space = newSpace(20, 1) }, checkDisk, api.FindingProblem,
		[]string{"only 1.0 GiB", "docker system prune"}},
	{"a large disk, of which the kubelet wants more free", func(f *Facts) { f.Engine.Space = newSpace(1000, 50) },
		checkDisk, api.FindingProblem, []string{"5% (50.0 GiB)"}},
	{"a disk that is nearly full", func(f *Facts) { f.Engine.Space = newSpace(100, 8) }, checkDisk, api.FindingWarning,
		[]string{"only 8.0 GiB", "about 5 GiB", "less than 4 (RKE2's own releases) or 2 (a kit)"}},
	{"a disk that is too full for RKE2", func(f *Facts) { f.Engine.Space = newSpace(100, 6) }, checkDisk,
		api.FindingProblem, []string{"only 6.0 GiB", "5% (5.0 GiB)"}},
	{"no inodes", func(f *Facts) { f.Engine.Space.FreeFiles = 100 }, checkInodes, api.FindingProblem,
		[]string{"only 100 of 6000000"}},
	{"few inodes", func(f *Facts) { f.Engine.Space.FreeFiles = 100_000 }, checkInodes, api.FindingWarning,
		[]string{"100000 of 6000000"}},
	{"a narrow way out", func(f *Facts) {
		f.Interfaces["eth0"], f.Engine.Networks[0].MTU = Interface{MTU: 1400}, 1400
	}, checkMTU, api.FindingWarning, []string{"skyctl-1 may have 1500", "(eth0) only 1400", "create them again"}},
	{"a narrow way out for builds", func(f *Facts) {
		f.Interfaces["eth0"], f.Engine.Networks[1].MTU = Interface{MTU: 1400}, 1400
	}, checkMTU, api.FindingWarning, []string{"bridge may have 1500", `"mtu": 1400`}},
	{"hosts among pods", func(f *Facts) { f.Engine.Networks[1].Subnets = prefixes("10.42.7.0/24") }, checkPodNetwork,
		api.FindingProblem, []string{"10.42.7.0/24", "pods (10.42.0.0/16)", "network.cluster_cidr"}},
	{"hosts among Services", func(f *Facts) { f.Engine.Networks[1].Subnets = prefixes("10.43.0.0/24") },
		checkPodNetwork, api.FindingProblem, []string{"Services (10.43.0.0/16)"}},
	{"a VPN among pods", route("10.42.0.0/15", "tun0"), checkPodNetwork, api.FindingWarning, []string{"tun0"}},
	{"a VPN among Docker's networks", route("172.18.5.0/24", "wg0"), checkSubnets, api.FindingWarning,
		[]string{"skyctl-1 (172.18.0.0/16)", "172.18.5.0/24 through wg0", "default-address-pools"}},
	{"no forwarding", func(f *Facts) { f.Engine.NoForwarding = true }, checkFirewall, api.FindingWarning,
		[]string{"net.ipv4.ip_forward=1"}},
	{"Docker's rules flushed", func(f *Facts) { f.ForwardRules = []string{"-P FORWARD DROP"} }, checkFirewall,
		api.FindingProblem, []string{"nor each other", "systemctl restart docker"}},
	{"Docker's rules flushed, without a filter of bridges", func(f *Facts) {
		f.ForwardRules, f.BridgeFilter = []string{"-P FORWARD DROP"}, false
	}, checkFirewall, api.FindingWarning, []string{"no registry"}},
	{"a proxy that Docker lacks", func(f *Facts) {
		f.Proxies = Proxies{HTTPS: "http://proxy:3128", No: "localhost"}
	}, checkProxy, api.FindingWarning, []string{"Docker engine has none"}},
	{"a proxy that hosts lack", func(f *Facts) { f.Engine.Proxies = Proxies{HTTP: "http://proxy:3128"} }, checkProxy,
		api.FindingWarning, []string{"rke2.env"}},
	{"a clock that is behind", func(f *Facts) { f.Clock.Past = f.Clock.Now.Add(time.Hour) }, checkClock,
		api.FindingProblem, []string{"1h0m0s behind"}},
	{"a clock that nobody sets", func(f *Facts) { f.Clock.Synchronized = false }, checkClock, api.FindingWarning,
		[]string{"set-ntp true"}},
	{"a full disk of skyd", func(f *Facts) { f.State.Space.Free = gib / 2 }, checkDisk, api.FindingProblem,
		[]string{"only 0.5 GiB are free at /home/ada/.skyconf"}},
	{"no inodes for skyd", func(f *Facts) { f.State.Space.FreeFiles = 10 }, checkInodes, api.FindingProblem,
		[]string{"10 of 6000000"}},
	{"HOME on NFS", func(f *Facts) { f.State.FileSystem = "NFS" }, checkFileSystem, api.FindingWarning,
		[]string{"(NFS)", "SKYCONF_DIR"}},
	{"a slow disk", func(f *Facts) { f.State.SyncLatency = 80 * time.Millisecond }, checkDiskLatency,
		api.FindingWarning, []string{"80ms"}},
	{"another user's skyd", func(f *Facts) {
		f.Ports = []Port{{Number: 7233, For: "Temporal", Owner: annsServer},
			{Number: 2379, For: "etcd", Owner: annsServer}}
	}, checkPorts, api.FindingWarning, []string{"ports 7233 (Temporal) and 2379 (etcd) belong to " + annsServer,
		"nothing has to be done", "free ports by itself"}},
	{"a taken port that a setting names", func(f *Facts) {
		f.Ports = []Port{{Number: 2379, For: "etcd", Owner: annsServer, Chosen: true, HowToSet: "--dev-etcd-port"}}
	}, checkPorts, api.FindingProblem, []string{"port 2379 (etcd) belongs to " + annsServer, "does not start",
		"--dev-etcd-port", "remove the setting"}},
	{"a taken port that a new setting names", func(f *Facts) {
		f.Ports = []Port{{Number: 2379, For: "etcd", Owner: annsServer, Chosen: true, Running: true}}
	}, checkPorts, api.FindingWarning, []string{"will not start again"}},
	{"a taken port for SkyPilot", func(f *Facts) {
		f.Ports = []Port{{Number: 46581, For: "the SkyPilot server", Owner: "ann", Chosen: true, OfSkyPilot: true}}
	}, checkPorts, api.FindingWarning, []string{"SkyPilot server cannot start"}},
}

// annsServer is the owner of a port.
const annsServer = "ann, who runs skyd (process 12)"

func findAll(f Facts) []Finding { return append(FindHostProblems(f), FindServerProblems(f)...) }

func TestEachThingWrongIsFoundWithItsFix(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range ruleCases {
		f := newGoodFacts()
		c.change(&f)
		found := findAll(f)
		i := slices.IndexFunc(found, func(f Finding) bool { return f.Check == c.check && f.Severity == c.severity })
		if i < 0 {
			t.Errorf("%s: %+v", c.name, found)
			continue
		}
		covered[c.check] = true
		for _, w := range c.words {
			if !strings.Contains(found[i].String(), w) {
				t.Errorf("%s: no %q in %s", c.name, w, found[i])
			}
		}
		for _, other := range found {
			if other.Check != c.check || other.Fix == "" || !slices.Contains(Checks, other.Check) {
				t.Errorf("%s: also, or without a fix: %+v", c.name, other)
			}
		}
	}
	for _, check := range Checks {
		if !covered[check] {
			t.Errorf("no case of %s", check)
		}
	}
}

func TestNothingIsFoundOnAGoodComputer(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"good":                       func(*Facts) {},
		"nothing known":              func(f *Facts) { *f = Facts{} },
		"engine of no known version": func(f *Facts) { f.Engine.Version = "dev" },
		"engine of one word":         func(f *Facts) { f.Engine.Version = "27" },
		"Debian's engine":            func(f *Facts) { f.Engine.Version = "20.10.24+dfsg1" },
		"disk unknown":               func(f *Facts) { f.Engine.Space = diskspace.Space{} },
		"file system without inodes": func(f *Facts) { f.Engine.Space.Files, f.Engine.Space.FreeFiles = 0, 0 },
		"a first cluster with all CPUs": func(f *Facts) {
			f.Engine.NewHosts = HostTotals{Count: 4, CPUs: 8}
		},
		"the last CPUs": func(f *Facts) {
			f.Engine.Hosts, f.Engine.NewHosts = HostTotals{Count: 2, CPUs: 7}, HostTotals{Count: 1, CPUs: 1}
		},
		"memory for a small cluster": func(f *Facts) {
			f.Engine.Hosts, f.Engine.NewHosts = HostTotals{Count: 1, MemoryGiB: 13}, HostTotals{Count: 1, MemoryGiB: 3}
		},
		"root raises the limits":  func(f *Facts) { f.InotifyInstances, f.Root = 128, true },
		"a VPN for everything":    route("128.0.0.0/1", "tun0"),
		"another network of pods": route("10.42.0.0/24", "cni0"),
		"a network of nobody among pods": func(f *Facts) {
			f.Engine.Networks = append(f.Engine.Networks,
				Network{Name: "x", MTU: 9000, Subnets: prefixes("10.42.0.0/24")})
		},
		"nftables alone":  func(f *Facts) { f.Modules["ip_tables"], f.Modules["nf_tables"] = false, true },
		"rules unknown":   func(f *Facts) { f.ForwardRules = nil },
		"everything open": func(f *Facts) { f.ForwardRules = []string{"-P FORWARD ACCEPT"} },
	} {
		f := newGoodFacts()
		change(&f)
		if found := findAll(f); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestProblemsComeFirstAndInOneLine(t *testing.T) {
	f := newGoodFacts()
	f.MemoryAvailable, f.Engine.CPUs, f.Engine.Rootless = 1, 1, true
	found := FindHostProblems(f)
	if len(found) != 3 || found[0].Check != checkRootless || found[2].Check != checkMemory {
		t.Fatalf("%+v", found)
	}
	if got := FormatProblems(found); !strings.HasPrefix(got, "2 problems: (1) the engine is rootless") ||
		!strings.Contains(got, "; (2) the engine's computer has 1 CPUs") || strings.Contains(got, "1.0 of") {
		t.Error(got)
	}
	if got := FormatProblems(found[2:]); got != "" {
		t.Error(got)
	}
}
