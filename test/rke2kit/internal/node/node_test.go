package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

func TestOnlyForeignCgroupTreesGetTheirOwnRoot(t *testing.T) {
	own := `99 98 0:46 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,size=4096k
100 99 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw
`
	if got := outerCgroupMounts(own); got != nil {
		t.Errorf("own tree: got %v", got)
	}
	shared := own + `101 99 0:30 /../.. /sys/fs/cgroup/memory rw,relatime master:9 - cgroup cgroup rw,memory
102 99 0:31 /.. /var/lib/other rw,relatime - ext4 /dev/vda rw
`
	if got := outerCgroupMounts(shared); !reflect.DeepEqual(got, []string{"/sys/fs/cgroup/memory"}) {
		t.Errorf("shared tree: got %v", got)
	}
}

func TestNodePasswordIsCreatedOnceAndIsPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node", "password")
	first, err := ensureNodePassword(file)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(first) {
		t.Errorf("password is %q, want 32 hexadecimal digits", first)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v", info.Mode())
	}
	if again, err := ensureNodePassword(file); err != nil || again != first {
		t.Errorf("second call: %q, %v; want %q", again, err, first)
	}
}

func TestKubeletConfigReservesNoMemoryByDefault(t *testing.T) {
	n := &Node{opts: Options{Name: "n1"}, agent: "/a", cgroups: cgroups{driver: driverCgroupfs, root: "/rke2kit-n1"}}
	data, err := n.renderKubeletConfig(supervisor.ClusterConfig{ClusterDNS: "10.43.0.10",
		ClusterDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		EvictionHard                map[string]string
		ImageGCHighThresholdPercent int
		CgroupRoot, StaticPodPath   string
		ClusterDNS                  []string
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if _, found := got.EvictionHard["memory.available"]; found || len(got.EvictionHard) == 0 {
		t.Errorf("evictionHard is %v", got.EvictionHard)
	}
	if got.ImageGCHighThresholdPercent != 100 {
		t.Errorf("images that can't be pulled are removed above %d %%", got.ImageGCHighThresholdPercent)
	}
	if strings.Contains(string(data), "failCgroupV1") {
		t.Error("the kubelet's own default for cgroup version 1 is overridden")
	}
	if got.StaticPodPath != "/a/pod-manifests" {
		t.Errorf("static pods are read from %s", got.StaticPodPath)
	}
	if got.CgroupRoot != "/rke2kit-n1" || !reflect.DeepEqual(got.ClusterDNS, []string{"10.43.0.10"}) {
		t.Errorf("got %+v", got)
	}
}

func TestCNIConfigGivesPodsTheNodesRange(t *testing.T) {
	data, err := renderCNIConfig("10.42.3.0/24", 1450)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Plugins []struct {
			Type string
			MTU  int
			IPAM struct{ Ranges [][]map[string]string }
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	first := got.Plugins[0]
	if first.MTU != 1450 || first.IPAM.Ranges[0][0]["subnet"] != "10.42.3.0/24" {
		t.Errorf("got %+v", first)
	}
	if _, err := renderCNIConfig("10.42.3.0", 1450); err == nil {
		t.Error("an address is taken for a range")
	}
}

func TestNodesAreUninitialisedUnlessThereIsNoCloudController(t *testing.T) {
	own := []string{"gpu=present:NoSchedule"}
	want := []string{"gpu=present:NoSchedule", "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule"}
	if got := registeredTaints(own, supervisor.ClusterConfig{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := registeredTaints(own, supervisor.ClusterConfig{NoCloudController: true}); !reflect.DeepEqual(got, own) {
		t.Errorf("without a cloud controller: %v", got)
	}
}

// modeNode is a node on a machine with one file of a test.
func modeNode(t *testing.T, name, content string) (*Node, string) {
	t.Helper()
	dir := t.TempDir()
	n := &Node{agent: dir, modes: hostmode.Modes{Dir: dir}, kubeletInterval: time.Millisecond,
		opts: Options{Version: "v1.36.3+rke2r1-kit"}}
	file := filepath.Join(dir, name)
	if err := errors.Join(os.Mkdir(n.agentPath("logs"), 0o755),
		os.WriteFile(file, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
	return n, file
}

func TestCauseOfARequestedExitIsInTheKubeletsLogOnly(t *testing.T) {
	n, file := modeNode(t, hostmode.KubeletExits, "E1129 run.go:72] the cause\n")
	var journal bytes.Buffer
	logline.SetOutput(&journal)
	t.Cleanup(func() { logline.SetOutput(os.Stderr) })
	ended := make(chan error, 1)
	go func() { ended <- n.AwaitHealthyKubelet(t.Context()) }()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		if log, _ := os.ReadFile(n.logPath("kubelet")); strings.Count(string(log), "the cause\n") > 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the kubelet does not exit twice")
		}
	}
	if err := errors.Join(os.Remove(file), <-ended); err != nil {
		t.Fatal(err)
	}
	if got := journal.String(); !strings.Contains(got, `msg="Kubelet exited: exit status 1"`) ||
		strings.Contains(got, "cause") {
		t.Errorf("the journal says %s", got)
	}
}

func TestRequestedPullsFailAsOftenAsAsked(t *testing.T) {
	n, _ := modeNode(t, hostmode.PullFails, "1")
	err := n.pullRuntimeImage(t.Context())
	const want = "failed to get runtime image index.docker.io/rancher/rke2-runtime:v1.36.3-rke2r1-kit: " +
		"GET https://index.docker.io/v2/rancher/rke2-runtime/manifests/v1.36.3-rke2r1-kit: TOOMANYREQUESTS: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := n.pullRuntimeImage(t.Context()); err != nil {
		t.Errorf("the second pull fails too: %v", err)
	}
	n, _ = modeNode(t, hostmode.PullFails, "1 dial tcp: i/o timeout")
	if err := n.pullRuntimeImage(t.Context()); err == nil ||
		!strings.HasSuffix(err.Error(), "-kit: dial tcp: i/o timeout") {
		t.Errorf("with a cause of its own: %v", err)
	}
}

func TestArgumentsBecomeFlags(t *testing.T) {
	got := toFlags([]string{"system-reserved=cpu=1,memory=2Gi", "--max-pods=20"})
	if want := []string{"--system-reserved=cpu=1,memory=2Gi", "--max-pods=20"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestInstalledNVIDIARuntimeIsConfigured(t *testing.T) {
	root := t.TempDir()
	if got := renderNvidiaRuntime(root, false); got != "" {
		t.Errorf("without it: %s", got)
	}
	for _, dir := range []string{"usr/bin", "usr/local/nvidia/toolkit"} {
		file := filepath.Join(root, dir, "nvidia-container-runtime")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		got := renderNvidiaRuntime(root, true)
		if !strings.Contains(got, "runtimes.nvidia.options]\n  BinaryName = \""+file+"\"\n  SystemdCgroup = true") {
			t.Errorf("with %s: %s", file, got)
		}
	}
}
