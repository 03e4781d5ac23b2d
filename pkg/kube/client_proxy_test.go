package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sky-shift/skyctl/test/process"
)

// envProxied is set in the process of TestEnvironmentProxyIsNotUsed that has a proxy; it holds a kubeconfig. Go reads
// the proxy variables once per process.
const envProxied = "SKYCTL_TEST_KUBE_PROXIED"

func TestEnvironmentProxyIsNotUsed(t *testing.T) {
	if kubeconfig := os.Getenv(envProxied); kubeconfig != "" {
		listNodesWithoutProxy(t, []byte(kubeconfig))
		return
	}
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}`))
	}))
	defer api.Close()
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		proxied.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	_, port, _ := net.SplitHostPort(api.Listener.Addr().String())
	// Go uses no proxy for localhost and loopback addresses, but it does for 0.0.0.0, which also reaches this host.
	kubeconfig := strings.Replace(string(kubeconfigOf(t, api)), "https://127.0.0.1:1", "https://0.0.0.0:"+port, 1)
	named, err := SetTLSServerName([]byte(kubeconfig), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := process.RunTestAgain(t.Context(), t.Name(), envProxied+"="+string(named), "HTTPS_PROXY="+proxy.URL,
		"https_proxy="+proxy.URL, "NO_PROXY=", "no_proxy="); err != nil {
		t.Errorf("with a proxy in the environment: %v", err)
	}
	if n := proxied.Load(); n != 0 {
		t.Errorf("the proxy got %d requests for a cluster's API", n)
	}
}

func listNodesWithoutProxy(t *testing.T, kubeconfig []byte) {
	t.Helper()
	for name, how := range map[string][]ClientOption{"lasting": nil, "brief": {ShortLived}} {
		cs, err := NewClient(kubeconfig, how...)
		if err != nil {
			t.Fatal(err)
		}
		if nodes, err := cs.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil ||
			len(nodes.Items) != 1 {
			t.Errorf("a %s client: %v, %v", name, nodes, err)
		}
		CloseClient(cs)
	}
}
