package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/clientcmd"
)

func TestAClientThatIsClosedHoldsNoConnection(t *testing.T) {
	var open atomic.Int64
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("asked over %s, not as a real API is", r.Proto)
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
	defer api.Close()
	config, err := clientcmd.Load(kubeconfigOf(t, api))
	if err != nil {
		t.Fatal(err)
	}
	config.Clusters["x"].Server = api.URL
	kubeconfig, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is closed can be used again
		cs, err := Client(kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := NodesReady(t.Context(), cs, nil); err != nil {
			t.Fatal(err)
		}
		if n := open.Load(); n != 1 {
			t.Errorf("%d connections after a question", n)
		}
		Close(cs)
		for deadline := time.Now().Add(10 * time.Second); open.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d connections are still open", open.Load())
			}
		}
	}
	Close(fake.NewClientset()) // has none
}
