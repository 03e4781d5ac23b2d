package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
)

// etcd connects to the installation's store, for changes by hand.
func (i *installation) etcd() *store.Store {
	i.t.Helper()
	cfg, err := config.Load(nil, func(k string) string {
		for n := len(i.env) - 1; n >= 0; n-- {
			if v, ok := strings.CutPrefix(i.env[n], k+"="); ok {
				return v
			}
		}
		return ""
	})
	if err != nil {
		i.t.Fatal(err)
	}
	key, err := connect.ReadSecretsKey(cfg)
	if err != nil {
		i.t.Fatal(err)
	}
	s, err := connect.OpenStore(i.t.Context(), cfg, key)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = s.Close() })
	return s
}

// credentialsEndSoon stores a kubeconfig whose certificate is valid for one week.
func credentialsEndSoon(t *testing.T, i *installation) {
	before := i.inSync("kept")
	s, ref := i.etcd(), before.Ref()
	old, err := s.ReadSecret(t.Context(), ref, store.SecretKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutSecret(t.Context(), ref, store.SecretKubeconfig, i.weekLong(old)); err != nil {
		t.Fatal(err)
	}
	i.repaired(before, api.ActionRefresh, 0)
	now, err := s.ReadSecret(t.Context(), ref, store.SecretKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	expire, err := kube.KubeconfigExpiry(now)
	if err != nil || time.Until(expire) < 300*24*time.Hour {
		t.Errorf("the kubeconfig expires at %v (%v)", expire, err)
	}
	written, err := os.ReadFile(filepath.Join(i.dir, "clusters", "kept", "kubeconfig"))
	if err != nil || string(written) != string(now) {
		t.Errorf("the user's kubeconfig was not updated (%v)", err)
	}
}

// weekLong returns the kubeconfig with a client certificate of the cluster that is valid for one week.
func (i *installation) weekLong(kubeconfig []byte) []byte {
	i.t.Helper()
	dir := i.t.TempDir()
	pair := pki.Pair{Cert: filepath.Join(dir, "ca.crt"), Key: filepath.Join(dir, "ca.key")}
	for from, to := range map[string]string{"client-ca.crt": pair.Cert, "client-ca.key": pair.Key} {
		out, err := i.onHost("sky-kept-0", "cat", "/var/lib/rancher/rke2/server/tls/"+from)
		if err != nil {
			i.t.Fatalf("%v\n%s", err, out)
		}
		if err := os.WriteFile(to, []byte(out), 0o600); err != nil {
			i.t.Fatal(err)
		}
	}
	cert, key := signShort(i.t, pair, 7*24*time.Hour)
	var lines []string
	for line := range strings.SplitSeq(string(kubeconfig), "\n") {
		for name, data := range map[string][]byte{"client-certificate-data: ": cert, "client-key-data: ": key} {
			if at := strings.Index(line, name); at >= 0 {
				line = line[:at] + name + base64.StdEncoding.EncodeToString(data)
			}
		}
		lines = append(lines, line)
	}
	return []byte(strings.Join(lines, "\n"))
}

func TestSweepStartsAbandonedOperations(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	i.run("server", "start")
	s := i.etcd()
	long := time.Now().Add(-time.Hour).UTC()
	spec := api.GroupSpec{Manager: "k8", Cloud: "docker", CPUs: "2+", Memory: "4", NumNodes: 1, Provision: true}
	made, err := s.CreateCluster(t.Context(), api.NewCluster("forgotten", "uid-of-forgotten", spec, nil, long))
	if err != nil {
		t.Fatal(err)
	}
	i.awaitReady("forgotten")
	if n := len(i.hosts("forgotten")); n != 1 {
		t.Errorf("%d hosts, want 1", n)
	}
	_, err = s.UpdateCluster(t.Context(), made.Ref(), func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseDeleting, "DeleteRequested", time.Now().UTC())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the cluster is gone", func() bool {
		return i.try("get", "cluster", "forgotten").code != 0 && len(i.hosts("forgotten")) == 0
	})
}

func TestOrphansAreListedAndTerminated(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	if r := i.create("other", "--wait"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	host, err := i.docker.ContainerInspect(context.Background(), "sky-other-0")
	if err != nil {
		t.Fatal(err)
	}
	i.run("pause", "reconcile") // otherwise a sweep terminates the orphan first
	// With another machine's incarnation it would be a copy of that machine.
	gone := func(index, incarnation string) map[string]string {
		return map[string]string{
			"skyctl-cluster": "gone", "skyctl-cluster-uid": "uid-of-gone", "skyctl-index": index,
			"skyctl-incarnation": incarnation,
		}
	}
	i.plant("sky-gone-0", host.Config.Image, host.Config.Labels, gone("0", "gone0"))
	strangers := map[string]string{"skyctl-installation": "somebody-else", "skyctl-cluster": "gone",
		"skyctl-cluster-uid": "uid-of-gone"}
	i.plant("sky-strangers-0", host.Config.Image, host.Config.Labels, strangers)
	t.Cleanup(func() {
		_ = i.docker.ContainerRemove(context.Background(), "sky-strangers-0",
			container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	out := i.run("get", "orphans").stdout
	if !strings.Contains(out, "sky-gone-0") || strings.Contains(out, "sky-strangers-0") ||
		strings.Contains(out, "sky-other-0") {
		t.Errorf("orphans:\n%s", out)
	}
	i.run("delete", "orphans", "--yes")
	if n := len(i.hosts("gone")); n != 1 { // the machine of another installation
		t.Errorf("%d hosts of the deleted cluster, want 1", n)
	}
	i.plant("sky-gone-1", host.Config.Image, host.Config.Labels, gone("1", "gone1"))
	i.run("resume", "reconcile")
	eventually.Holds(t, "the orphan is removed by a sweep", func() bool { return len(i.hosts("gone")) == 1 })
	if events := i.run("get", "events").stdout; !strings.Contains(events, "OrphanTerminated") {
		t.Errorf("no OrphanTerminated event:\n%s", events)
	}
	if n := len(i.hosts("other")); n != 1 {
		t.Errorf("%d hosts of the other cluster, want 1", n)
	}
}

// signShort creates a short-lived administrator certificate, signed by the given authority.
func signShort(t *testing.T, ca pki.Pair, life time.Duration) (cert, keyPEM []byte) {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(life),
		Subject:  pkix.Name{CommonName: "system:admin", Organization: []string{"system:masters"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
