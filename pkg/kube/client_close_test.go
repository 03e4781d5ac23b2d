package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"
)

func TestClosedClientHasNoConnections(t *testing.T) {
	kubeconfig, open := emptyAPI(t)
	for range 2 { // a closed client can be used again
		cs := newUsedClient(t, kubeconfig)
		if n := open.Load(); n != 1 {
			t.Errorf("%d connections after a request", n)
		}
		CloseClient(cs)
		for deadline := time.Now().Add(10 * time.Second); open.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections are still open", open.Load())
			}
		}
	}
	CloseClient(fake.NewClientset()) // has none
}

func TestClosedShortLivedClientFreesItsMemory(t *testing.T) {
	kubeconfig, _ := emptyAPI(t)
	cs := newUsedClient(t, kubeconfig, ShortLived)
	held := weak.Make(cs.(*closableClient).connections)
	CloseClient(cs)
	for deadline := time.Now().Add(20 * time.Second); held.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("its connections are still in memory")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// newUsedClient returns a client that has made one request.
func newUsedClient(t *testing.T, kubeconfig []byte, options ...ClientOption) kubernetes.Interface {
	t.Helper()
	cs, err := NewClient(kubeconfig, options...)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := CheckNodesReady(t.Context(), cs, nil); err != nil {
		t.Fatal(err)
	}
	return cs
}

// emptyAPI serves empty lists over HTTP/2, as a real API server does; open is its number of open connections.
func emptyAPI(t *testing.T) (kubeconfig []byte, open *atomic.Int64) {
	t.Helper()
	open = new(atomic.Int64)
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("a request over %s instead of HTTP/2", r.Proto)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"NodeList","apiVersion":"v1","items":[]}`))
	}))
	api.EnableHTTP2 = true
	api.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	api.StartTLS()
	t.Cleanup(api.Close)
	config, err := clientcmd.Load(kubeconfigOf(t, api))
	if err != nil {
		t.Fatal(err)
	}
	config.Clusters["x"].Server = api.URL
	if kubeconfig, err = clientcmd.Write(*config); err != nil {
		t.Fatal(err)
	}
	return kubeconfig, open
}
