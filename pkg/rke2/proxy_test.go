package rke2

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// envProxied makes TestADownloadNamesItsProxyWithoutThePassword the process that has a proxy: Go reads its variables once in
// the life of a process.
const envProxied = "SKYCTL_TEST_RKE2_PROXIED"

func TestADownloadNamesItsProxyWithoutThePassword(t *testing.T) {
	if proxy := os.Getenv(envProxied); proxy != "" {
		_, err := Resolve(t.Context(), version, "https://releases.example.com", "")
		if err == nil || !strings.Contains(err.Error(), proxy) || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Errorf("the error does not name the proxy: %v", err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the proxy's password: %v", err)
		}
		if reasonOf(err) != SourceUnreachable || IsFinal(err) {
			t.Errorf("what the proxy said counts as the word of the source: %v", err)
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
		"one that refuses":           {"http://ann:hunter2@" + address, address},
		"one that nobody answers at": {"http://ann:hunter2@127.0.0.1:1", "http://127.0.0.1:1"},
	} {
		self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		self.Env = append(os.Environ(), envProxied+"="+tt.named, "HTTPS_PROXY="+tt.proxy, "https_proxy="+tt.proxy, "NO_PROXY=", "no_proxy=")
		if out, err := self.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if asked.Load() == 0 {
		t.Error("the proxy was not used for a download")
	}
}
