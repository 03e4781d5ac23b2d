package docker_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

func TestHostStartsAsRequested(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(2)
	m := s.launch(req)

	if m.Name != req.Name || m.Index != 2 || m.Incarnation != req.Incarnation || m.Owner != req.Owner {
		t.Errorf("the machine is %+v, the request was %+v", m, req)
	}
	if m.State != cloud.StateRunning || m.SSHUser != "sky" || m.SSHPort != 22 || m.PrivateAddress != m.Address {
		t.Errorf("can't be reached as promised: %+v", m)
	}
	if m.CPUs != 1 || m.MemoryGiB != 1 {
		t.Errorf("the machine reports %v cores and %v GiB", m.CPUs, m.MemoryGiB)
	}
	for what, check := range map[string]struct{ command, want string }{
		"its hostname":              {"hostname", req.Name},
		"root by sudo":              {"sudo id -un", "root"},
		"systemd":                   {"sudo systemctl is-system-running --wait", "running"},
		"no failed unit":            {"systemctl --failed --no-legend", ""},
		"no other host key":         {"ls /etc/ssh | grep host_", "ssh_host_key"},
		"a private host key":        {"stat -c '%U %a' /etc/ssh/ssh_host_key", "root 600"},
		"containerd left to others": {"systemctl is-enabled containerd || true", "masked"},
		"the kernel's log":          {"sudo test -r /dev/kmsg && echo there", "there"},
		"shared mounts":             {"findmnt -no PROPAGATION / | cut -d, -f1", "shared"},
		"a limit for what it nests": {"sudo cat /sys/fs/cgroup/memory.max " +
			"/sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true", strconv.Itoa(1 << 30)},
		"volumes": {"for v in rancher kubelet containerd; do mountpoint -q /var/lib/$v && echo " +
			"$v; done | xargs", "rancher kubelet containerd"},
		"what Kubernetes calls": {"for c in containerd runc iptables ebtables conntrack ethtool socat mount; do " +
			"sudo sh -c \"command -v $c\" >/dev/null || echo no $c; done", ""},
	} {
		if got := s.run(m, check.command); got != check.want {
			t.Errorf("%s: %s printed %q, want %q", what, check.command, got, check.want)
		}
	}
}

func TestNestedControlGroupStaysWithinTheHost(t *testing.T) {
	s := newSite(t, docker.Options{})
	a, b := s.launch(s.request(0)), s.launch(s.request(1))
	const dir = "d=/sys/fs/cgroup; [ -d $d/memory ] && d=$d/memory; "
	s.run(a, dir+"sudo mkdir $d/kubepods")
	if got := s.run(b, dir+"[ -e $d/kubepods ] && echo seen || echo apart"); got != "apart" {
		t.Errorf("a control group that %s created appears on %s", a.Name, b.Name)
	}
}

func TestOnlyTheAuthorizedKeyLogsIn(t *testing.T) {
	s := newSite(t, docker.Options{})
	m := s.launch(s.request(0))
	for who, login := range map[string]struct {
		user string
		auth ssh.AuthMethod
	}{
		"root with the key":     {"root", ssh.PublicKeys(s.user)},
		"another key":           {"sky", ssh.PublicKeys(newSigner(t))},
		"a password":            {"sky", ssh.Password("*")},
		"a password when asked": {"sky", ssh.KeyboardInteractive(answerEmpty)},
		"root with no password": {"root", ssh.Password("")},
	} {
		conn, err := s.login(m, login.user, login.auth)
		if err == nil {
			conn.Close()
			t.Errorf("%s got in", who)
		} else if !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("%s was kept out by something else: %v", who, err)
		}
	}
	m.HostKey = string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey()))
	if conn, err := s.login(m, "sky", ssh.PublicKeys(s.user)); err == nil {
		conn.Close()
		t.Error("the host has another host key")
	}
}

func answerEmpty(_, _ string, questions []string, _ []bool) ([]string, error) {
	return make([]string, len(questions)), nil
}

func TestEngineShowsLimitsAndLabelsButNoKey(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	req.Placement = api.Placement{CPUs: 1.5, MemoryGiB: 1.25}
	id := s.submit(req)
	got, raw, err := s.engine.ContainerInspectWithRaw(s.ctx, id, false)
	if err != nil {
		t.Fatal(err)
	}
	if got.HostConfig.NanoCPUs != 1_500_000_000 || got.HostConfig.Memory != 1280<<20 {
		t.Errorf("limits are %d nanocpus and %d bytes", got.HostConfig.NanoCPUs, got.HostConfig.Memory)
	}
	for label, want := range map[string]string{
		cloud.LabelInstallation: req.Owner.Installation, cloud.LabelCluster: req.Owner.Cluster,
		cloud.LabelClusterUID: req.Owner.ClusterUID, cloud.LabelIndex: "0", cloud.LabelIncarnation: req.Incarnation,
	} {
		if got.Config.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, got.Config.Labels[label], want)
		}
	}
	for _, line := range strings.Split(string(req.HostKey), "\n") {
		if len(line) > 20 && strings.Contains(string(raw), line) {
			t.Fatalf("the engine shows a part of the private host key: %s", line)
		}
	}
}

func TestTerminateLeavesNothingAndCanBeRepeated(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	m := s.launch(req)
	container, err := s.engine.ContainerInspect(s.ctx, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.TerminateMachine(s.ctx, req.ToTarget()); err != nil {
			t.Fatal(err)
		}
		if left, err := s.ListMachines(s.ctx, s.owner); err != nil || len(left) != 0 {
			t.Fatalf("listed after its end: %v, %v", left, err)
		}
	}
	volumes := 0
	for _, mount := range container.Mounts {
		if mount.Name == "" {
			continue
		}
		volumes++
		if _, err := s.engine.VolumeInspect(s.ctx, mount.Name); !errdefs.IsNotFound(err) {
			t.Errorf("volume %s of %s remains: %v", mount.Name, mount.Destination, err)
		}
	}
	if volumes != 3 {
		t.Errorf("the host had %d volumes, want 3", volumes)
	}
}

func TestSubmitStartsAStoppedHost(t *testing.T) {
	s := newSite(t, docker.Options{})
	req := s.request(0)
	m := s.launch(req)
	s.run(m, "echo kept | sudo tee /etc/kept")
	s.stop(m.ID)
	listed, err := s.ListMachines(s.ctx, s.owner)
	if err != nil || len(listed) != 1 || listed[0].State != cloud.StateStopped || listed[0].Name != req.Name {
		t.Fatalf("listed as %+v, %v", listed, err)
	}
	again := s.launch(req)
	if again.ID != m.ID || s.run(again, "cat /etc/kept") != "kept" {
		t.Errorf("another machine came up: %s, was %s", again.ID, m.ID)
	}
}

func TestListSeparatesClustersAndInstallations(t *testing.T) {
	s, other := newSite(t, docker.Options{}), newSite(t, docker.Options{})
	other.submit(other.request(0))
	first := s.request(0)
	s.submit(first)
	second := s.request(0)
	second.Owner.Cluster, second.Owner.ClusterUID = "x"+s.owner.Cluster, randomHex(t, 8)
	second.Name = api.MachineName(second.Owner.Cluster, 0)
	s.submit(second)

	for whose, want := range map[cloud.Owner]int{
		first.Owner: 1, second.Owner: 1, {Installation: s.owner.Installation}: 2,
		{Installation: s.owner.Installation, ClusterUID: "none"}: 0,
	} {
		if got, err := s.ListMachines(s.ctx, whose); err != nil || len(got) != want {
			t.Errorf("%+v: got %d machines, want %d: %v", whose, len(got), want, err)
		}
	}
	if _, err := s.ListMachines(s.ctx, cloud.Owner{}); err == nil {
		t.Error("a list without an installation succeeded")
	}
}
