package computer

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newSystem writes the files of a system, and returns its root directory.
func newSystem(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFactsAreReadFromTheFilesOfTheSystem(t *testing.T) {
	env := map[string]string{"https_proxy": "http://proxy:3128", "NO_PROXY": "localhost"}
	dir := t.TempDir()
	f := GatherFacts(t.Context(), Options{Env: func(name string) string {
		return env[name]
	}, StateDir: dir + "/not/yet",
		Root: newSystem(t, map[string]string{
			"proc/self/status":                            "Name:\tskyd\nCapBnd:\t000001ffffffffff\n",
			"proc/meminfo":                                "MemTotal:       8388608 kB\nMemAvailable:    2097152 kB\n",
			"sys/fs/cgroup/cgroup.controllers":            "cpuset cpu io memory pids\n",
			"sys/class/net/eth0/mtu":                      "1400\n",
			"proc/sys/fs/inotify/max_user_instances":      "128\n",
			"proc/sys/fs/inotify/max_user_watches":        "65536\n",
			"proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
			"proc/sys/kernel/osrelease":                   "6.1.0-1\n",
			"proc/filesystems":                            "nodev\tsysfs\nnodev\toverlay\n",
			"lib/modules/6.1.0-1/modules.builtin":         "kernel/fs/ext4/ext4.ko\n",
			"lib/modules/6.1.0-1/modules.dep": "kernel/drivers/net/vxlan/vxlan.ko.xz: " +
				"kernel/net/udp_tunnel.ko.xz\n",
			"run/.containerenv": "",
			"proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" +
				"eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
				"eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
		})})
	want := map[string]bool{"overlay": true, "br_netfilter": true, "vxlan": true, "ip_tables": false,
		"nf_tables": false}
	for m, there := range want {
		if got, known := f.Modules[m]; got != there || !known {
			t.Errorf("module %s: %t, %t", m, got, known)
		}
	}
	if f.MemoryTotal != 8 || f.MemoryAvailable != 2 || f.CgroupVersion != 2 || len(f.Controllers) != 5 ||
		f.InotifyInstances != 128 || f.InotifyWatches != 65536 || !f.BridgeFilter || f.Container != "podman" ||
		f.Capabilities != 1<<41-1 || f.Proxies != (Proxies{HTTPS: "http://proxy:3128", No: "localhost"}) {
		t.Errorf("%+v", f)
	}
	routes := []Route{{netip.MustParsePrefix("0.0.0.0/0"), "eth0"}, {netip.MustParsePrefix("192.168.1.0/24"), "eth0"}}
	if name, out := f.findWayOut(); !slices.Equal(f.Routes, routes) || name != "eth0" || out.MTU != 1400 {
		t.Errorf("%+v through %s: %+v", f.Routes, name, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 || f.State.Space.Total == 0 ||
		f.State.SyncLatency == 0 {
		t.Errorf("%v, %v: %+v", left, err, f.State)
	}
}

func TestControllersOfCgroupVersion1AreRead(t *testing.T) {
	f := GatherFacts(t.Context(), Options{Root: newSystem(t, map[string]string{
		"proc/cgroups": "#subsys_name hierarchy num_cgroups enabled\ncpuset 3 9 1\nmemory 5 90 0\npids 8 90 1\n",
	})})
	if f.CgroupVersion != 1 || strings.Join(f.Controllers, " ") != "cpuset pids" {
		t.Errorf("version %d: %v", f.CgroupVersion, f.Controllers)
	}
}

func TestThisComputerHasFacts(t *testing.T) {
	f := GatherFacts(t.Context(), Options{Env: os.Getenv, StateDir: t.TempDir()})
	if f.MemoryTotal == 0 || f.CgroupVersion == 0 || len(f.Interfaces) == 0 || f.Capabilities == 0 ||
		f.State.SyncLatency <= 0 || f.State.Space.Total == 0 || time.Since(f.Clock.Now) > time.Minute {
		t.Errorf("%+v", f)
	}
	for _, found := range FindServerProblems(f) {
		if found.Check == checkClock && found.Severity == "Problem" {
			t.Errorf("the clock of this computer: %s", found)
		}
	}
}

func TestDiskIsMeasuredOnceAlsoWhereTimeIsUp(t *testing.T) {
	if took := measureSync(t.TempDir(), 0); took <= 0 {
		t.Errorf("it took %s", took)
	}
}

func TestEngineThatDoesNotListenIsFound(t *testing.T) {
	address := "unix://" + filepath.Join(t.TempDir(), "docker.sock")
	if e := ProbeEngine(t.Context(), address, Facts{}); e.State != EngineAbsent && e.State != EngineNotRunning {
		t.Errorf("%+v", e)
	}
	l, err := net.Listen("unix", strings.TrimPrefix(address, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if e := ProbeEngine(t.Context(), address, Facts{MemoryTotal: 8}); e.State != EngineAnswers || e.MemoryGiB != 8 ||
		e.CPUs < 1 {
		t.Errorf("%+v", e)
	}
	if e := ProbeEngine(t.Context(), "tcp://10.0.0.9:2376", Facts{}); e.State != EngineUnknown {
		t.Errorf("%+v", e)
	}
	for state, err := range map[EngineState]error{EngineForbidden: os.ErrPermission, EngineSilent: net.ErrClosed} {
		if got := JudgeEngineError(err, false); got != state {
			t.Errorf("%v: %s", err, got)
		}
	}
}
