package kube

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// ofRKE2 has the format of RKE2; the data is base64 of "ca", "cert" and "key".
const ofRKE2 = `apiVersion: v1
kind: Config
clusters:
- name: default
  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Y2E=}
contexts:
- name: default
  context: {cluster: default, user: default}
current-context: default
preferences: {}
users:
- name: default
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
`

func TestEditKubeconfigRenamesAndSetsTheServer(t *testing.T) {
	b, err := EditKubeconfig([]byte(ofRKE2), "prod", "https://203.0.113.7:6443")
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientcmd.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.CurrentContext != "prod" || len(c.Contexts) != 1 || len(c.Clusters) != 1 || len(c.AuthInfos) != 1 {
		t.Fatalf("got\n%s", b)
	}
	ctx := c.Contexts["prod"]
	if ctx == nil || ctx.Cluster != "prod" || ctx.AuthInfo != "prod" {
		t.Fatalf("got\n%s", b)
	}
	cluster, user := c.Clusters["prod"], c.AuthInfos["prod"]
	if cluster.Server != "https://203.0.113.7:6443" || string(cluster.CertificateAuthorityData) != "ca" ||
		string(user.ClientCertificateData) != "cert" || string(user.ClientKeyData) != "key" {
		t.Errorf("got\n%s", b)
	}
	again, err := EditKubeconfig(b, "prod", "https://203.0.113.7:6443")
	if err != nil || string(again) != string(b) {
		t.Errorf("editing it again gave\n%s\n%v", again, err)
	}
}

func TestInvalidKubeconfigIsRejected(t *testing.T) {
	const server = "https://203.0.113.7:6443"
	for name, tt := range map[string]struct{ raw, server string }{
		"empty":    {"", server},
		"not YAML": {"[", server},
		"no context": {strings.Replace(ofRKE2, "current-context: default", "current-context: other", 1),
			server},
		"no user":                 {strings.Replace(ofRKE2, "user: default}", "user: other}", 1), server},
		"no key":                  {strings.Replace(ofRKE2, ", client-key-data: a2V5", "", 1), server},
		"no CA":                   {strings.Replace(ofRKE2, ", certificate-authority-data: Y2E=", "", 1), server},
		"server without a scheme": {ofRKE2, "203.0.113.7:6443"},
		"plain http":              {ofRKE2, "http://203.0.113.7:6443"},
	} {
		if b, err := EditKubeconfig([]byte(tt.raw), "prod", tt.server); err == nil ||
			!strings.Contains(err.Error(), "prod") {
			t.Errorf("%s: got\n%s\n%v", name, b, err)
		}
	}
}
