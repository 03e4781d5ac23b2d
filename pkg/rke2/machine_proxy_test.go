package rke2

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/process"
)

// envProxied is set in the process that has a proxy: Go reads the proxy variables once per process.
const envProxied = "SKYCTL_TEST_RKE2_PROXIED"

func TestDownloadErrorNamesTheProxyWithoutPassword(t *testing.T) {
	if proxy := os.Getenv(envProxied); proxy != "" {
		_, err := ResolveArtifacts(t.Context(), version, "https://releases.example.com", "")
		if err == nil || !strings.Contains(err.Error(), proxy) || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Errorf("the error does not name the proxy: %v", err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error contains the proxy's password: %v", err)
		}
		if kindOf(err) != SourceUnreachable || IsFinal(err) {
			t.Errorf("the proxy's answer counts as the source's: %v", err)
		}
		return
	}
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect && r.Host == "releases.example.com:443" {
			asked.Add(1)
		}
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	address := strings.TrimPrefix(proxy.URL, "http://")
	for name, tt := range map[string]struct{ proxy, named string }{
		"one that rejects":         {"http://ann:hunter2@" + address, address},
		"one that does not answer": {"http://ann:hunter2@127.0.0.1:1", "http://127.0.0.1:1"},
	} {
		if err := process.RunTestAgain(t.Context(), t.Name(), envProxied+"="+tt.named, "HTTPS_PROXY="+tt.proxy,
			"https_proxy="+tt.proxy, "NO_PROXY=", "no_proxy="); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked.Load() == 0 {
		t.Error("the proxy was not used for a download")
	}
}

// proxied sets an unreachable proxy in the machine's environment, and installs a curl that fails through the proxy like
// the real one. answers is what the ports answer, by shell patterns of the requests.
func (m *machine) proxied(answers string) {
	m.t.Helper()
	m.Server.Env = append(m.Server.Env, "https_proxy=http://ann:hunter2@127.0.0.1:1",
		"http_proxy=http://ann:hunter2@127.0.0.1:1", "no_proxy=")
	m.Write("/opt/fake/curl", `#!/bin/sh
case "$*" in "--noproxy * "*) ;; *) echo "curl: (7) Failed to connect to 127.0.0.1 port 1" >&2; exit 7;; esac
case "$*" in
`+answers+`
*) echo "curl: (7) Failed to connect to 127.0.0.1" >&2; exit 7;;
esac
`, 0o755)
}

const aKubeconfig = `clusters:
- cluster:
    certificate-authority-data: Y2E=
users:
- user:
    client-certificate-data: Y2VydA==
    client-key-data: a2V5
`

func TestLocalPortsAreProbedWithoutTheProxy(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", "LoadState=loaded ActiveState=active SubState=running NRestarts=0 InvocationID=1")
	m.proxied(`*" -o "*) printf 200;; *cacerts*) echo authority;;`)
	token := "K10" + strings.Repeat("a", 64) + "::node:y\n"
	m.Write(serverDir+"/token", token, 0o600)
	m.Write(serverDir+"/agent-token", token, 0o600)
	m.Write(kubeconfig, aKubeconfig, 0o600)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := AwaitServer(ctx, m.Host, nil); err != nil {
		t.Errorf("waiting: %v", err)
	}
	if _, err := ReadCredentials(t.Context(), m.Host); err != nil {
		t.Errorf("reading the credentials: %v", err)
	}
	if u, err := ReadUnitState(t.Context(), m.Host, api.RoleHead); err != nil || u.Ready != Ready ||
		u.Active != "active" {
		t.Errorf("the state of the server: %+v, %v", u, err)
	}
}

func TestReadinessOfTheHeadsAPI(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", "LoadState=loaded ActiveState=active SubState=running")
	for name, tt := range map[string]struct {
		answer, kubeconfig string
		want               Readiness
		why                string
	}{
		"not ready":       {`*6443/readyz*) printf 500; exit 0;;`, aKubeconfig, Unready, "500"},
		"nothing listens": {``, aKubeconfig, Unready, "Failed to connect"},
		"no answer in time": {`*6443*) echo "curl: (28) Operation timed out" >&2; printf 000; exit 28;;`,
			aKubeconfig, Unready, "timed out"},
		"no kubeconfig exists":              {`*6443*) printf 200;;`, "clusters: []\n", Unready, "no kubeconfig"},
		"the API rejects its administrator": {`*6443*) printf 401; exit 0;;`, aKubeconfig, Undecided, "401"},
		"ready":                             {`*6443*) printf 200;;`, aKubeconfig, Ready, ""},
	} {
		m.proxied(tt.answer)
		m.Write(kubeconfig, tt.kubeconfig, 0o600)
		u, err := ReadUnitState(t.Context(), m.Host, api.RoleHead)
		if err != nil || u.Ready != tt.want || !strings.Contains(u.Why, tt.why) || u.Active != "active" ||
			tt.why == "" && u.Why != "" {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	if u, err := ReadUnitState(t.Context(), m.Host, api.RoleWorker); err != nil || u.Ready != Undecided || u.Why != "" {
		t.Errorf("a worker: %+v, %v", u, err)
	}
}

func TestMachineDownloadsThroughItsProxy(t *testing.T) {
	m := newMachine(t)
	dir, a := writeRelease(t, version)
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "releases.example.com" {
			t.Errorf("the proxy was asked for %s", r.URL)
		}
		asked.Add(1)
		http.ServeFile(w, r, dir+"/"+tarballName("amd64"))
	}))
	m.Server.Env = append(m.Server.Env, "http_proxy=http://ann:hunter2@"+strings.TrimPrefix(proxy.URL, "http://"),
		"no_proxy=")
	a.Source = "http://releases.example.com"
	if err := InstallRelease(t.Context(), m.Host, a, nil, nil); err != nil || asked.Load() == 0 {
		t.Fatalf("the proxy was asked %d times: %v", asked.Load(), err)
	}
	m.installed()
	proxy.Close()
	m.RunShell("rm -r /opt/rke2 " + stagingDir)
	err := InstallRelease(t.Context(), m.Host, a, nil, nil)
	if kindOf(err) != SourceUnreachable || !strings.Contains(err.Error(), "sets the proxy "+proxy.URL) ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the proxy does not answer: %v", err)
	}
}

func TestRKE2GetsTheMachinesProxyAndExceptions(t *testing.T) {
	m := newMachine(t)
	// not the networks of this computer, to which Docker may add one meanwhile
	m.InstallProgram("ip", "#!/bin/sh\necho '2: eth0 inet 192.0.2.7/24 scope global eth0'\n")
	head := Node{Role: api.RoleHead, NodeName: "h", NodeIP: "203.0.113.7", AgentToken: "x"}
	start := func() string {
		t.Helper()
		if err := StartServer(t.Context(), m.Host, head); err != nil {
			t.Fatal(err)
		}
		return m.RunShell("cat " + proxyEnvFile + " 2>/dev/null; ls /etc/systemd/system/rke2-server.service.d " +
			"2>/dev/null; true")
	}
	if got := start(); got != "" {
		t.Errorf("without a proxy: %s", got)
	}
	m.Server.Env = append(m.Server.Env, "https_proxy=http://ann:hunter2@proxy:3128", "no_proxy=.corp")
	got := strings.Split(start(), "\n")
	if len(got) != 3 || got[0] != "HTTPS_PROXY=http://ann:hunter2@proxy:3128" || got[2] != proxyDropIn {
		t.Fatalf("with a proxy: %q", got)
	}
	excluded := "," + strings.TrimPrefix(got[1], "NO_PROXY=") + ","
	for _, host := range []string{".corp", "127.0.0.0/8", "10.0.0.0/8", "10.42.0.0/16", "10.43.0.0/16", ".svc",
		".cluster.local", "203.0.113.7"} {
		if strings.Count(excluded, ","+host+",") != 1 {
			t.Errorf("NO_PROXY is %s, want %s once", excluded, host)
		}
	}
	if mode := m.RunShell("stat -c %a " + proxyEnvFile); mode != "600" {
		t.Errorf("the file that may hold a password has mode %s", mode)
	}

	worker := Node{Role: api.RoleWorker, NodeName: "w", NodeIP: "203.0.113.8", Server: "https://203.0.113.7:9345"}
	join := func() string {
		t.Helper()
		if err := JoinAgent(t.Context(), m.Host, worker, "K10"+strings.Repeat("a", 64)+"::node:y"); err != nil {
			t.Fatal(err)
		}
		return m.RunShell("grep -c restart /run/systemd/system/calls || true; grep -o 203.0.113.[78] " + proxyEnvFile +
			" | sort | tr '\\n' ' '")
	}
	if got := join(); got != "0\n203.0.113.7 203.0.113.8" {
		t.Errorf("a worker: %q", got)
	}
	if got := join(); !strings.HasPrefix(got, "0\n") {
		t.Errorf("an agent with an unchanged proxy was restarted: %q", got)
	}
	m.Server.Env = append(m.Server.Env, "https_proxy=http://other:3128")
	if got := join(); !strings.HasPrefix(got, "1\n") {
		t.Errorf("an agent with another proxy was not restarted: %q", got)
	}
	m.Server.Env = append(m.Server.Env, "https_proxy=")
	join()
	left := m.RunShell("ls " + proxyEnvFile + " /etc/systemd/system/rke2-agent.service.d 2>/dev/null || true")
	if left != "/etc/systemd/system/rke2-agent.service.d:" {
		t.Errorf("after the proxy was unset: %s", left)
	}
}

// startRecordingProxy starts a proxy that answers for every host with the files of a directory, and passes the requests
// that it got to record, one at a time. It opens no tunnels.
func startRecordingProxy(t *testing.T, dir string, record func(*http.Request)) (address string) {
	t.Helper()
	var mu sync.Mutex
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		record(r)
		mu.Unlock()
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.ServeFile(w, r, filepath.Join(dir, path.Base(r.URL.Path)))
	}))
	t.Cleanup(proxy.Close)
	return strings.TrimPrefix(proxy.URL, "http://")
}

func TestMachineDownloadsThroughTheProxyOfTheSpec(t *testing.T) {
	m := newMachine(t)
	dir, a := writeRelease(t, version)
	asked := map[string]string{}
	proxy := startRecordingProxy(t, dir, func(r *http.Request) {
		asked[r.URL.Host+" "+path.Base(r.URL.Path)] = r.Header.Get("Proxy-Authorization")
	})
	// The proxy of the login does not answer. Other users of the machine can read the arguments of curl.
	m.Server.Env = append(m.Server.Env, "http_proxy=http://127.0.0.1:1", "no_proxy=.corp.example.com")
	m.Write("/opt/fake/curl", "#!/bin/sh\ngrep -l hunter[2] /proc/[0-9]*/cmdline >>/opt/seen 2>/dev/null\n"+
		"echo \"$no_proxy,\" >/opt/excluded; exec /usr/bin/curl \"$@\"\n", 0o755)
	a.Source = "http://releases.example.com"
	env := map[string]string{"HTTP_PROXY": "http://ann:hunter2@" + proxy, "NO_PROXY": ".shop.example.com"}
	if err := InstallRelease(t.Context(), m.Host, a, env, nil); err != nil {
		t.Fatal(err)
	}
	m.installed()
	if len(asked) != 1 || asked["releases.example.com "+tarballName("amd64")] != "Basic YW5uOmh1bnRlcjI=" {
		t.Errorf("the proxy was asked for %q", asked)
	}
	if seen := m.RunShell("cat /opt/seen"); seen != "" {
		t.Errorf("the password is an argument in %s", seen)
	}
	excluded := m.RunShell("cat /opt/excluded")
	for _, host := range []string{".corp.example.com,", ".shop.example.com,", "10.0.0.0/8,", ".svc,"} {
		if !strings.Contains(excluded, host) {
			t.Errorf("no_proxy is %s, without %s", excluded, host)
		}
	}
}

func TestArchivesAreDownloadedThroughTheProxyOfTheSpec(t *testing.T) {
	m := newMachine(t)
	var asked []string
	proxy := startRecordingProxy(t, t.TempDir(), func(r *http.Request) { asked = append(asked, r.Method+" "+r.Host) })
	images := []api.PinnedImages{{From: "https://files.example.com/own.tar", SHA256: sumOf("images of mine")}}
	env := map[string]string{"https_proxy": "http://ann:hunter2@" + proxy}
	err := InstallImages(t.Context(), m.Host, images, env, nil)
	if kindOf(err) != SourceUnreachable || !strings.Contains(err.Error(), "rke2.env sets the proxy http://"+proxy) ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the proxy opens no tunnel: %v", err)
	}
	if len(asked) == 0 || asked[0] != "CONNECT files.example.com:443" {
		t.Errorf("the proxy was asked for %q", asked)
	}
	images[0].From = "https://127.0.0.1:1/own.tar" // which no proxy reaches
	if err = InstallImages(t.Context(), m.Host, images, env, nil); kindOf(err) != SourceUnreachable ||
		!strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "sets the proxy") {
		t.Errorf("a dead server that is reached directly: %v", err)
	}
}

func TestProxyVariablesOfASpec(t *testing.T) {
	const proxy, secure, plain = "http://proxy:3128", "https://example.com/rke2", "http://example.com/rke2"
	for name, tt := range map[string]struct {
		env     map[string]string
		address string
		// want is part of what is rendered; if it is empty, nothing is. lacks is not.
		want, lacks string
	}{
		"none":   {nil, secure, "", "proxy"},
		"others": {map[string]string{"GODEBUG": "x"}, secure, "", "proxy"},
		"unset":  {map[string]string{"HTTPS_PROXY": ""}, secure, "", "proxy"},
		"upper case": {map[string]string{"HTTPS_PROXY": proxy}, secure,
			"https_proxy='" + proxy + "' HTTPS_PROXY=", " http_"},
		"both cases": {map[string]string{"HTTP_PROXY": "http://old", "http_proxy": proxy}, plain,
			"export http_proxy='" + proxy + "' HTTP_PROXY='" + proxy + "'\n", "http://old"},
		"its owner":      {map[string]string{"HTTP_PROXY": proxy}, plain, "proxy_owner=rke2.env", "https_"},
		"of other URLs":  {map[string]string{"HTTP_PROXY": proxy}, secure, "http_proxy=", "proxy_owner"},
		"direct alone":   {map[string]string{"no_proxy": ".corp"}, secure, ".corp,localhost", "http"},
		"private source": {map[string]string{"HTTP_PROXY": proxy}, "http://10.1.2.3:8080", ",10.1.2.3'", "proxy_owner"},
		"public source":  {map[string]string{"HTTP_PROXY": proxy}, "http://203.0.113.9", "10.0.0.0/8", "203.0.113.9"},
		"excluded source": {map[string]string{"HTTP_PROXY": proxy, "NO_PROXY": "203.0.113.0/24"}, "http://203.0.113.9",
			",203.0.113.9'", "example"},
		"quotes": {map[string]string{"HTTP_PROXY": "http://a:it's@proxy"}, plain,
			`'http://a:it'\''s@proxy'`, "example"},
	} {
		got := RenderProxyVariables(tt.env, tt.address)
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.lacks) || (tt.want == "") != (got == "") {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}
