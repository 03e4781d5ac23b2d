package kubeconfig

import (
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestClientGoReadsTheRenderedKubeconfig(t *testing.T) {
	for name, c := range map[string]struct {
		data   []byte
		server string
		ca     string
	}{
		"embedded": {RenderEmbedded("https://127.0.0.1:6443", []byte("ca"), []byte("cert"), []byte("key")),
			"https://127.0.0.1:6443", "ca"},
		"files": {RenderWithFiles("https://head:6443", "/ca.crt", "/c.crt", "/c.key"), "https://head:6443",
			"/ca.crt"},
	} {
		config, err := clientcmd.Load(c.data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		current := config.Contexts[config.CurrentContext]
		if current == nil {
			t.Fatalf("%s: no current context in %s", name, c.data)
		}
		cluster, user := config.Clusters[current.Cluster], config.AuthInfos[current.AuthInfo]
		if cluster.Server != c.server {
			t.Errorf("%s: server %q", name, cluster.Server)
		}
		if got := string(cluster.CertificateAuthorityData) + cluster.CertificateAuthority; got != c.ca {
			t.Errorf("%s: CA %q, want %q", name, got, c.ca)
		}
		if user.ClientKeyData == nil && user.ClientKey == "" {
			t.Errorf("%s: no client key", name)
		}
	}
}
