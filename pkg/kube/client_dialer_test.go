package kube

import (
	"context"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigOf returns a kubeconfig whose server does not listen: only a custom dial function reaches the API.
func kubeconfigOf(t *testing.T, api *httptest.Server) []byte {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	c := clientcmdapi.NewConfig()
	c.CurrentContext = "x"
	c.Clusters["x"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1", CertificateAuthorityData: ca}
	c.AuthInfos["x"] = &clientcmdapi.AuthInfo{}
	c.Contexts["x"] = &clientcmdapi.Context{Cluster: "x", AuthInfo: "x"}
	b, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTunnelClientVerifiesTheServerName(t *testing.T) {
	var agent atomic.Value
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent() + " " + r.TLS.ServerName)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}`))
	}))
	defer api.Close()
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", api.Listener.Addr().String())
	}
	named, err := SetTLSServerName(kubeconfigOf(t, api), "example.com") // a name of the certificate of httptest
	if err != nil {
		t.Fatal(err)
	}
	cs, err := NewClientWithDialer(named, dial)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := cs.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 {
		t.Fatalf("%v, %v", nodes, err)
	}
	if got := agent.Load(); got != "skyctl example.com" {
		t.Errorf("the server name is %q", got)
	}

	other, err := SetTLSServerName(named, "sky-other-0")
	if err != nil {
		t.Fatal(err)
	}
	if cs, err = NewClientWithDialer(other, dial); err != nil {
		t.Fatal(err)
	}
	if _, err := cs.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err == nil ||
		!strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server with another name was accepted: %v", err)
	}
}
