package preflight

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

// newMachine starts a machine that says nothing of this computer's ports and firewall.
func newMachine(t *testing.T, dirs ...string) *nsmachine.Machine {
	t.Helper()
	m := nsmachine.Start(t, append(dirs, "/var/lib/rancher", "/run/systemd/system", "/etc/ufw", "/etc/systemd/system",
		"/etc/sysctl.d"))
	for name, script := range map[string]string{
		"ss": "cat /opt/sockets 2>/dev/null", "iptables": "cat /opt/rules 2>/dev/null",
		"systemd-detect-virt": "cat /opt/container 2>/dev/null || { echo none; exit 1; }",
		"systemctl": "cat \"/opt/units/$6\" 2>/dev/null || { echo LoadState=not-found; echo " +
			"ActiveState=inactive; }",
	} {
		m.InstallProgram(name, "#!/bin/sh\n"+script+"\n")
	}
	return m
}

// sockets are what ss prints.
var sockets = strings.Join([]string{
	`udp UNCONN 0 0    127.0.0.53%lo:53    0.0.0.0:*  users:(("systemd-resolve",pid=1,fd=13))`,
	`tcp LISTEN 0 4096     0.0.0.0:6443    0.0.0.0:*  users:(("haproxy",pid=7,fd=3),("haproxy",pid=8,fd=3))`,
	`tcp LISTEN 0 4096         [::]:22         [::]:*`,
	`tcp LISTEN 0 4096            *:10250         *:*  users:(("kubelet",pid=9,fd=3))`, "",
}, "\n")

func TestFactsAreGatheredOnTheMachine(t *testing.T) {
	m := newMachine(t)
	m.RunShell("mkdir /opt/units /opt/inotify; echo 128 >/opt/inotify/max_user_instances; " +
		"echo 65536 >/opt/inotify/max_user_watches; mount --bind /opt/inotify /proc/sys/fs/inotify; " +
		"printf 'ID=rocky\\nID_LIKE=\"rhel centos\"\\nPRETTY_NAME=\"Rocky Linux 9\"\\n' >/opt/os; " +
		"mount --bind /opt/os $(readlink -f /etc/os-release); " +
		"echo nameserver 192.0.2.1 >/opt/resolv; mount --bind /opt/resolv $(readlink -f /etc/resolv.conf); " +
		"echo 2 >/opt/version; mkdir -p /var/lib/rancher/rke2/agent/containerd")
	m.Write("/opt/units/firewalld", "LoadState=loaded\nActiveState=active\n", 0o644)
	m.Write("/opt/units/unattended-upgrades.service", "LoadState=loaded\nActiveState=inactive\n", 0o644)
	m.Write("/opt/rules", strings.Join(ociRules, "\n")+"\n", 0o644)
	m.Write("/etc/ufw/ufw.conf", "# a comment\nENABLED=yes\n", 0o644)
	m.Write("/opt/sockets", sockets, 0o644)
	ssh, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ssh.Close()
	port := ssh.Addr().(*net.TCPAddr).Port
	f, err := GatherFacts(t.Context(), m.Host, Requirements{SourceURL: "http://127.0.0.1:1/rke2", Peers: []Peer{
		{"open", "127.0.0.2", port}, {"refusing", "127.0.0.3", port}, {"away", "nowhere.invalid", 22}}})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Systemd || f.CPUs == 0 || time.Since(f.Clock).Abs() > time.Minute || !f.HasRun || len(f.Disks) != 2 {
		t.Errorf("got %+v", f)
	}
	if !slices.Equal(f.Distribution, []string{"rocky", "rhel", "centos"}) || f.Name != "Rocky Linux 9" {
		t.Errorf("the distribution is %q, %q", f.Distribution, f.Name)
	}
	if !f.Units["firewalld"] || !f.hasUnit("unattended-upgrades.service") || f.Units["unattended-upgrades.service"] ||
		f.hasUnit("fapolicyd") || !f.UFW || !slices.Equal(f.InputRules, ociRules) || f.Container != "" {
		t.Errorf("got %+v", f)
	}
	if want := []listener{{true, "127.0.0.53", 53, "systemd-resolve"}, {false, "0.0.0.0", 6443, "haproxy"},
		{false, "::", 22, ""}, {false, "*", 10250, "kubelet"}}; !slices.Equal(f.Listeners, want) {
		t.Errorf("listeners: %+v", f.Listeners)
	}
	if f.InotifyInstances != 128 || f.InotifyWatches != 65536 || f.NameServers != 1 || f.Capabilities == 0 ||
		!slices.Contains(f.Controllers, "memory") {
		t.Errorf("got %+v", f)
	}
	if f.Source == nil || f.Source.status != 7 || !strings.Contains(f.Source.message, "curl: (7)") {
		t.Errorf("source: %+v", f.Source)
	}
	if c := f.Contacts; !c["127.0.0.2"].reached || !c["127.0.0.3"].reached || c["nowhere.invalid"].reached {
		t.Errorf("contacts: %+v", c)
	}
}

func TestSourceIsAskedForThroughTheProxyOfTheSpec(t *testing.T) {
	m := newMachine(t)
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.String() + " " + r.Header.Get("Proxy-Authorization")
	}))
	defer proxy.Close()
	f, err := GatherFacts(t.Context(), m.Host, Requirements{SourceURL: "http://releases.example.com/rke2",
		Env: map[string]string{"HTTP_PROXY": strings.Replace(proxy.URL, "://", "://ann:hunter2@", 1)}})
	if err != nil || f.Source == nil || f.Source.status != 0 {
		t.Fatalf("source: %+v, %v", f.Source, err)
	}
	if got := <-asked; got != "HEAD http://releases.example.com/rke2 Basic YW5uOmh1bnRlcjI=" {
		t.Errorf("the proxy was asked for %s", got)
	}
}

func TestNamesAreResolvedOnTheMachine(t *testing.T) {
	m := newMachine(t, "/etc/default")
	m.InstallProgram("getent", "#!/bin/sh\n[ \"$1 $2\" = 'ahosts known.example.com' ] || { sleep 60; exit 2; }\n")
	m.InstallProgram("timeout", "#!/bin/sh\n[ \"$1 $4\" != '5 dead.example.com' ] || { shift; set -- 0.2 \"$@\"; }\n"+
		"exec /usr/bin/timeout \"$@\"\n")
	wanted := Requirements{Registries: []string{"known.example.com", "dead.example.com"}}
	f, err := GatherFacts(t.Context(), m.Host, wanted)
	if err != nil || len(f.Resolved) != 2 || !f.Resolved["known.example.com"] || f.Resolved["dead.example.com"] {
		t.Errorf("resolved: %v, %v", f.Resolved, err)
	}
	wanted.Env = map[string]string{"HTTPS_PROXY": "http://proxy.example.com:3128"} // which resolves them
	if f, err = GatherFacts(t.Context(), m.Host, wanted); err != nil || len(f.Resolved) != 0 {
		t.Errorf("with a proxy: %v, %v", f.Resolved, err)
	}
	wanted.Env = nil
	for text, names := range map[string]int{"HTTPS_PROXY=\n#HTTPS_PROXY=http://proxy:3128\n": 2,
		"NO_PROXY=.corp\nHTTPS_PROXY=\"http://proxy:3128\"\n": 0} {
		m.Write("/etc/default/rke2-agent", text, 0o600)
		if f, err = GatherFacts(t.Context(), m.Host, wanted); err != nil || len(f.Resolved) != names {
			t.Errorf("with %q for RKE2: %v, %v", text, f.Resolved, err)
		}
	}
}

func TestGatheringChangesNothing(t *testing.T) {
	m := newMachine(t)
	list := func() string { return m.RunShell("find /var/lib/rancher /etc/systemd/system /etc/sysctl.d | sort") }
	before := list()
	m.Write("/opt/container", "docker\n", 0o644)
	f, found, err := CheckMachine(t.Context(), m.Host, Requirements{Role: api.RoleHead, Cloud: "oci"}, time.Now, nil)
	if err != nil || f.Container != "docker" {
		t.Fatalf("got %+v, %v", f, err)
	}
	if after := list(); after != before {
		t.Errorf("changed to %s", after)
	}
	if slices.ContainsFunc(found, func(f Finding) bool { return f.Check == checkClock }) {
		t.Errorf("found %v", found)
	}
}

func TestOutputWithoutAClockIsAnError(t *testing.T) {
	const facts = "arch=x86_64 systemd=1 prefix=/usr/local cpus=2 memory_kib=4194304\n"
	if _, err := parseFacts("m", facts+"sh: date: not found\n"); err == nil {
		t.Error("no error")
	}
	f, err := parseFacts("m", facts+"fitness clock=1000 ran=1 kubelet_kib=1024 kubelet_free_kib=512 rancher_kib=- "+
		"rancher_free_kib=\n")
	if err != nil || !f.HasRun || len(f.Disks) != 1 || f.Disks[0] != (disk{"/var/lib/kubelet", 1 << 20, 1 << 19}) {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestMachineIsMended(t *testing.T) {
	m := newMachine(t)
	m.RunShell("mkdir -p /opt/units /opt/inotify /etc/sysctl.d; echo 128 >/opt/inotify/max_user_instances; " +
		"echo 1048576 >/opt/inotify/max_user_watches; mount --bind /opt/inotify /proc/sys/fs/inotify")
	m.InstallProgram("systemctl", `#!/bin/sh
case "$1" in show) [ "$4" = fapolicyd ] || echo loaded;; *) echo "$@" >>/opt/calls;; esac
`)
	m.InstallProgram("iptables", `#!/bin/sh
echo "$@" >>/opt/calls
case "$3" in -C) exit 1;; esac
`)
	f := goodFacts()
	f.InotifyInstances, f.InputRules = 128, ociRules
	f.Units = map[string]bool{"firewalld": true, "unattended-upgrades.service": true}
	for range 2 {
		if err := MendMachine(t.Context(), m.Host, f, Requirements{Cloud: "oci"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.RunShell("cat /proc/sys/fs/inotify/max_user_instances /proc/sys/fs/inotify/max_user_watches " +
		"/etc/sysctl.d/*"); got != "8192\n1048576\nfs.inotify.max_user_instances = 8192" {
		t.Errorf("inotify: %q", got)
	}
	calls := m.RunShell("cat /opt/calls")
	for _, call := range []string{"disable -q --now apt-daily-upgrade.timer", "mask -q unattended-upgrades.service",
		"mask -q apt-daily-upgrade.service", "disable -q --now firewalld", "enable -q --now skyctl-accept.service"} {
		if !strings.Contains(calls, call) {
			t.Errorf("systemctl %s was not called, but %s", call, calls)
		}
	}
	if nic := m.RunShell("awk '$2 == \"00000000\" {print $1; exit}' /proc/net/route"); !strings.Contains(calls,
		"-w 30 -I INPUT -i "+nic+" -m state --state ESTABLISHED,RELATED,NEW -m comment --comment skyctl -j ACCEPT") {
		t.Errorf("calls: %s", calls)
	}
}
