package rke2

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
)

// installed fails unless the machine has the complete release and no leftovers.
func (m *machine) installed() {
	m.t.Helper()
	for name, want := range map[string]string{
		"/opt/rke2/bin/rke2":                      "#!/bin/sh\necho 'rke2 version " + version + " (0123)'\n",
		"/etc/systemd/system/rke2-agent.service":  "ExecStart=/opt/rke2/bin/rke2 agent\n",
		"/etc/systemd/system/rke2-server.service": "ExecStart=/opt/rke2/bin/rke2 server\n",
		"/opt/rke2/share/rke2/filler":             strings.Repeat("x", 1<<20),
	} {
		if got, err := m.ReadFile(m.t.Context(), name); err != nil || string(got) != want {
			m.t.Errorf("%s: got %.100q, %v", name, got, err)
		}
	}
	if got := m.RunShell("stat -c %u:%a /opt/rke2/bin/rke2; ls " + stagingDir); got != "0:755" {
		m.t.Errorf("owner, mode and leftovers: %s", got)
	}
}

func TestReleaseIsInstalledOnce(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, version)
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	m.installed()
	if err := InstallRelease(t.Context(), m.Host, a, nil, func(s string) {
		if !strings.HasPrefix(s, "checking") {
			t.Errorf("the second call reports %s", s)
		}
	}); err != nil {
		t.Fatal(err)
	}
	m.RunShell("echo '#!/bin/sh' >/opt/rke2/bin/rke2")
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	m.installed()
}

func TestInterruptedUnpackingIsRepeated(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, version)
	// The leftovers of tar look right: the program is there, and only later files are missing.
	m.Write("/opt/fake/tar", `#!/bin/sh
mkdir -p /opt/rke2/bin /opt/rke2/share/rke2
echo "echo 'rke2 version `+version+` (0123)'" >/opt/rke2/bin/rke2; chmod 755 /opt/rke2/bin/rke2
touch /opt/hanging; sleep 86400
`, 0o755)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- InstallRelease(ctx, m.Host, a, nil, nil) }()
	eventually.Holds(t, "tar hangs", func() bool { return m.RunShell("ls /opt/hanging 2>/dev/null || true") != "" })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	m.RunShell("rm /opt/fake/tar")
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	m.installed()
}

func TestReleaseWithAnotherVersionIsRejected(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, "v1.0.0+rke2r1")
	for range 2 {
		if err := InstallRelease(t.Context(), m.Host, a, nil, nil); kindOf(err) != WrongVersion || !IsFinal(err) ||
			!strings.Contains(err.Error(), "v1.0.0+rke2r1") {
			t.Errorf("got %v", err)
		}
	}
}

func TestUploadWithAWrongChecksumIsNotUnpacked(t *testing.T) {
	m := newMachine(t)
	d, a := writeRelease(t, version)
	for _, arch := range releaseArchitectures {
		write(t, filepath.Join(d, tarballName(arch)), "damaged since it was pinned")
	}
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); kindOf(err) != ChecksumMismatch || !IsFinal(err) {
		t.Errorf("got %v", err)
	}
	if got := m.RunShell("ls -A " + stagingDir + "; ls -d /opt/rke2 2>/dev/null || true"); got != "" {
		t.Errorf("on the machine: %s", got)
	}
}

func TestFullDiskIsAFinalError(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, version)
	m.RunShell("mount -o remount,size=64k /opt")
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); kindOf(err) != InstallFailed || !IsFinal(err) ||
		!strings.Contains(err.Error(), "No space left") {
		t.Errorf("got %v", err)
	}
}

// shop serves a release through handle over TLS, which the machine trusts.
func (m *machine) shop(dir string, handle func(http.ResponseWriter, *http.Request, http.Handler)) string {
	m.t.Helper()
	files := http.FileServer(http.Dir(dir))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if filepath.Dir(r.URL.Path) != "/"+version {
			m.t.Errorf("asked for %s", r.URL)
		}
		r.URL.Path, r.URL.RawPath = "/"+filepath.Base(r.URL.Path), ""
		handle(w, r, files)
	}))
	m.t.Cleanup(s.Close)
	ca := filepath.Join(m.t.TempDir(), "ca.pem")
	write(m.t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	m.Server.Env = append(m.Server.Env, "CURL_CA_BUNDLE="+ca, "no_proxy=127.0.0.1")
	return s.URL
}

func TestInterruptedDownloadIsResumed(t *testing.T) {
	m := newMachine(t)
	dir, a := writeRelease(t, version)
	whole, err := os.ReadFile(filepath.Join(dir, tarballName("amd64")))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	a.Source = m.shop(dir, func(w http.ResponseWriter, r *http.Request, files http.Handler) {
		if asked.Add(1) == 1 {
			w.Header().Set("Content-Length", "999999")
			_, _ = w.Write(whole[:500])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		if got := r.Header.Get("Range"); got != "bytes=500-" {
			t.Errorf("asked for %q", got)
		}
		files.ServeHTTP(w, r)
	})
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); kindOf(err) != SourceUnreachable || IsFinal(err) ||
		!strings.Contains(err.Error(), a.Source) {
		t.Fatalf("interrupted: got %v", err)
	}
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	m.installed()
}

func TestDamagedPartialDownloadIsRepeated(t *testing.T) {
	m := newMachine(t)
	dir, a := writeRelease(t, version)
	a.Source = m.shop(dir, func(w http.ResponseWriter, r *http.Request, files http.Handler) { files.ServeHTTP(w, r) })
	for _, junk := range []string{"junk", strings.Repeat("junk", 1<<20)} { // the second is longer than the file
		m.RunShell("rm -rf /opt/rke2")
		m.Write(stagingDir+"/"+a.SHA256["amd64"]+".tar.gz.part", junk, 0o600)
		if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
			t.Fatal(err)
		}
		m.installed()
	}
}

func TestDownloadWithAWrongChecksumIsNotUnpacked(t *testing.T) {
	m := newMachine(t)
	dir, a := writeRelease(t, version)
	a.Source = m.shop(dir, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		_, _ = w.Write([]byte("sign in first"))
	})
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); kindOf(err) != ChecksumMismatch || !IsFinal(err) ||
		!strings.Contains(err.Error(), a.Source) {
		t.Errorf("got %v", err)
	}
	if got := m.RunShell("ls -A " + stagingDir + "; ls -d /opt/rke2 2>/dev/null || true"); got != "" {
		t.Errorf("on the machine: %s", got)
	}
	a.Source = m.shop(dir, func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.NotFound(w, r) })
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); kindOf(err) != BadArtifacts || !IsFinal(err) {
		t.Errorf("a missing tarball: got %v", err)
	}
}

var aHead = Node{Role: api.RoleHead, NodeName: "n", NodeIP: "10.0.0.1", AgentToken: "sesame"}

func TestConfigurationIsPrivateAndWrittenOnce(t *testing.T) {
	m := newMachine(t)
	n := aHead
	stat := func() string {
		return m.RunShell("umask; stat -c '%u %a %i' " + configFile + "; ls " + filepath.Dir(configFile))
	}
	var before string
	for i := range 2 {
		if err := StartServer(t.Context(), m.Host, n); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before = stat()
		}
	}
	if after := stat(); after != before || !strings.Contains(after, "\n0 600 ") ||
		!strings.HasSuffix(after, "\nconfig.yaml") {
		t.Errorf("got %s, then %s", before, after)
	}
	f, err := GatherFacts(t.Context(), m.Host)
	if err != nil {
		t.Fatal(err)
	}
	want, err := RenderConfig(n, f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.ReadFile(t.Context(), configFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAgentRestartsOnlyForANewToken(t *testing.T) {
	m := newMachine(t)
	n := Node{Role: api.RoleWorker, NodeName: "n", NodeIP: "10.0.0.2", Server: "https://10.0.0.1:9345"}
	calls := func() string { return strings.ReplaceAll(m.RunShell("cat /run/systemd/system/calls"), "\n", "; ") }
	before := ""
	started := "start --no-block rke2-agent; enable -q --no-reload rke2-agent"
	for i, tt := range []struct{ password, calls string }{
		{"one", started}, {"one", started}, {"two", started + "; restart --no-block rke2-agent"},
	} {
		token := "K10" + hash + "::node:" + tt.password
		if err := JoinAgent(t.Context(), m.Host, n, token); err != nil {
			t.Fatal(err)
		}
		if got := calls(); got != tt.calls {
			t.Errorf("call %d: got %s", i, got)
		}
		run := m.RunShell("cat /run/systemd/system/rke2-agent.InvocationID")
		if (run == before) != (i == 1) {
			t.Errorf("call %d: the run is %s after %s", i, run, before)
		}
		before = run
		if got := m.RunShell("stat -c %u:%a " + joinTokenFile + "; cat " + joinTokenFile); got != "0:600\n"+token {
			t.Errorf("call %d: got %s", i, got)
		}
	}
	if err := JoinAgent(t.Context(), m.Host, n, "K10"+hash+"::server:x"); kindOf(err) != WrongToken || !IsFinal(err) {
		t.Errorf("the server's token: got %v", err)
	}
}

func TestServerIsStartedOnce(t *testing.T) {
	m := newMachine(t)
	for range 2 {
		if err := StartServer(t.Context(), m.Host, aHead); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.RunShell("cat /run/systemd/system/calls"); got != "start --no-block rke2-server\nenable -q "+
		"--no-reload "+
		"rke2-server" {
		t.Errorf("got %s", got)
	}
}

func TestStartingServerGetsANewConfiguration(t *testing.T) {
	changed := aHead
	changed.Labels = map[string]string{"team": "vision"}
	for state, want := range map[string]string{"activating": "2", "active": "1"} {
		m := newMachine(t)
		if err := StartServer(t.Context(), m.Host, aHead); err != nil {
			t.Fatal(err)
		}
		m.unit("rke2-server", "ActiveState="+state)
		for range 2 { // the second call changes nothing
			if err := StartServer(t.Context(), m.Host, changed); err != nil {
				t.Fatal(err)
			}
		}
		if calls := m.RunShell("grep -c start /run/systemd/system/calls"); calls != want {
			t.Errorf("%s: it was started %s times", state, calls)
		}
		if config := m.RunShell("cat " + configFile); !strings.Contains(config, "team=vision") {
			t.Errorf("%s: the configuration is\n%s", state, config)
		}
	}
}

func TestTokenIsNeverAnArgument(t *testing.T) {
	m := newMachine(t)
	// The stand-in checks every process during the join, while the script has the token in memory.
	m.Write("/opt/fake/systemctl", "#!/bin/sh\ngrep -l sesame774[1] /proc/[0-9]*/cmdline >>/opt/seen 2>/dev/null\n"+
		strings.TrimPrefix(systemctl, "#!/bin/sh\n"), 0o755)
	n := Node{Role: api.RoleWorker, NodeName: "n", NodeIP: "10.0.0.2", Server: "https://10.0.0.1:9345"}
	if err := JoinAgent(t.Context(), m.Host, n, "K10"+hash+"::node:sesame7741"); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("cat /opt/seen"); got != "" {
		t.Errorf("found in %s", got)
	}
}

func TestUninstallingRemovesAllAndIsRepeatable(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, version)
	if err := UninstallRelease(t.Context(), m.Host); err != nil {
		t.Errorf("not installed: %v", err)
	}
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := StartServer(t.Context(), m.Host, aHead); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := UninstallRelease(t.Context(), m.Host); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.RunShell("ls " + configFile + " " + stagingDir +
		" /opt/rke2/share/rke2/.skyctl /opt/rke2/bin/rke2 2>/dev/null || true"); got != "" {
		t.Errorf("left: %s", got)
	}
	if err := StopUnit(t.Context(), m.Host, api.RoleHead); err != nil {
		t.Errorf("stopping a missing unit: %v", err)
	}
}

func TestLostConnectionIsNotAnInstallFailure(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, version)
	m.Server.CutAfter.Store(16 << 10)
	h, err := remote.Dial(t.Context(), m.Server.Target, m.Server.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	err = InstallRelease(t.Context(), h, a, nil, nil)
	if !remote.IsLost(err) && kindOf(err) != "" {
		t.Errorf("got %v", err)
	}
	m.Server.CutAfter.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := InstallRelease(ctx, m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	m.installed()
}

func TestFactsAreReadFromTheMachine(t *testing.T) {
	m := newMachine(t)
	_, a := writeRelease(t, version)
	m.InstallProgram("stat", "#!/bin/sh\n[ \"$*\" = '-f -c %t /sys/fs/cgroup' ] || exec /usr/bin/stat \"$@\"\ncat "+
		"/opt/type\n")
	for fsType, v1 := range map[string]bool{"1021994": true, "63677270": false} {
		m.Write("/opt/type", fsType+"\n", 0o644)
		if f, err := GatherFacts(t.Context(), m.Host); err != nil || f.CgroupV1 != v1 || f.Release != "" {
			t.Errorf("type %s: got %+v, %v", fsType, f, err)
		}
	}
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := GatherFacts(t.Context(), m.Host)
	nic := m.RunShell("awk '$2 == \"00000000\" {print $1; exit}' /proc/net/route")
	if err != nil || f.Release != version || f.CPUs == 0 || f.MemoryBytes == 0 {
		t.Errorf("got %+v, %v", f, err)
	}
	if nic != "" && strconv.Itoa(f.MTU) != m.RunShell("cat /sys/class/net/"+nic+"/mtu") {
		t.Errorf("the MTU of %s is %d", nic, f.MTU)
	}
}
