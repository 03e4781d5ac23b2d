// Package kubeapi runs a real Kubernetes API server with its etcd, on loopback, for tests of its own decisions: which
// manager owns a field, what a conflict is, which objects its schemas allow. No kubelet, scheduler or controller runs.
// The programs are those of the offline release in test/rke2kit.
package kubeapi

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/process"
)

const (
	// startTimeout allows for a busy machine.
	startTimeout = 5 * time.Minute
	pollInterval = 100 * time.Millisecond
)

// Server is an API server that runs until its test ends.
type Server struct {
	// Kubeconfig has all rights.
	Kubeconfig []byte
	// EtcdEndpoint is its etcd, which asks for no credentials.
	EtcdEndpoint string

	t         testing.TB
	dir, kube string
	token     string
	cs        *kubernetes.Clientset
}

// StartServer runs an API server.
func StartServer(t testing.TB) *Server {
	t.Helper()
	needs.Kit(t)
	dir := t.TempDir()
	s := &Server{t: t, dir: dir, kube: filepath.Join(dir, "kube"), token: rand.Text()}
	if err := extractProgram(findRelease(t), "share/rke2/bin/kube", s.kube); err != nil {
		t.Fatal(err)
	}
	var ports []string
	for _, port := range freeport.Get(t, 3) {
		ports = append(ports, strconv.Itoa(port))
	}
	client := "http://127.0.0.1:" + ports[0]
	s.EtcdEndpoint = client
	s.startComponent("etcd", "--config-file="+s.writeFile("etcd.yaml", fmt.Sprintf(
		"name: default\ndata-dir: %s\nlisten-client-urls: %s\nadvertise-client-urls: %[2]s\nlisten-peer-urls: %s\n"+
			"initial-advertise-peer-urls: %[3]s\ninitial-cluster: default=%[3]s\nunsafe-no-fsync: true\nlog-level: "+
			"warn\nlog-outputs: [stderr]\n",
		filepath.Join(dir, "etcd"), client, "http://127.0.0.1:"+ports[1])))
	s.awaitCondition("etcd", func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+ports[0])
		if err == nil {
			c.Close()
		}
		return err
	})
	certs, key := filepath.Join(dir, "certs"), s.writeFile("service.key", newServiceAccountKey(t))
	s.startComponent("kube-apiserver", "--etcd-servers="+client, "--secure-port="+ports[2], "--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--cert-dir="+certs, "--token-auth-file="+s.writeFile("tokens", s.token+",test,test,system:masters\n"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key,
		"--service-account-signing-key-file="+key,
		"--service-cluster-ip-range=10.43.0.0/16", "--disable-admission-plugins=ServiceAccount")
	s.awaitReady("https://127.0.0.1:"+ports[2], filepath.Join(certs, "apiserver.crt"))
	return s
}

// awaitReady waits until the server answers.
func (s *Server) awaitReady(address, cert string) {
	s.t.Helper()
	s.awaitCondition("the API server", func() error {
		ca, err := os.ReadFile(cert)
		if err != nil {
			return err
		}
		s.Kubeconfig = fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts: [{name: "+
			"test, context: {cluster: test, user: test}}]\n"+
			"users: [{name: test, user: {token: %q}}]\nclusters: [{name: test, cluster: {server: %q, "+
			"certificate-authority-data: %s}}]\n",
			s.token, address, base64.StdEncoding.EncodeToString(ca))
		config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig)
		if err != nil {
			return err
		}
		if s.cs, err = kubernetes.NewForConfig(config); err != nil {
			return err
		}
		_, err = s.cs.CoreV1().Namespaces().Get(s.t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
		return err
	})
}

// ApplyCRD applies a CustomResourceDefinition, given as YAML, and waits until its kind is served.
func (s *Server) ApplyCRD(crd string) {
	s.t.Helper()
	name := yamlValue(crd, "name")
	path := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + name
	if err := s.cs.Discovery().RESTClient().Patch(types.ApplyYAMLPatchType).AbsPath(path).Param("fieldManager", "test").
		SetHeader("Accept", "application/json").Body([]byte(crd)).Do(s.t.Context()).Error(); err != nil {
		s.t.Fatalf("define %s: %v", name, err)
	}
	plural, group, _ := strings.Cut(name, ".")
	s.awaitCondition(name, func() error {
		return s.cs.Discovery().RESTClient().Get().AbsPath("/apis", group, "v1", plural).SetHeader("Accept",
			"application/json").Do(s.t.Context()).Error()
	})
}

// yamlValue returns the first value of a key in our own YAML.
func yamlValue(yaml, key string) string {
	_, after, _ := strings.Cut(yaml, key+": ")
	return strings.FieldsFunc(after, func(r rune) bool { return strings.ContainsRune(" ,}\n", r) })[0]
}

func (s *Server) writeFile(name, content string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// startComponent starts one of the programs in the multi-call binary, by its name.
func (s *Server) startComponent(name string, args ...string) {
	s.t.Helper()
	log := filepath.Join(s.dir, name+".log")
	p, err := process.Start(process.Options{Argv: append([]string{s.kube}, args...), Name: name, Dir: s.dir,
		LogFile: log})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", name, p.LastLogLines())
		}
		if err := p.Kill(); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *Server) awaitCondition(what string, well func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	for {
		err := well()
		if err == nil {
			return
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			s.t.Fatalf("%s is not up: %v", what, err)
		}
	}
}

// findRelease returns the directory of the offline release: SKYCTL_TEST_RKE2, or else the one built from these sources.
func findRelease(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("SKYCTL_TEST_RKE2"); filepath.IsAbs(dir) {
		return dir
	}
	root, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(root, "test", "rke2kit", "build.sh")); missing == nil {
			break
		}
		if filepath.Dir(root) == root {
			err = errors.New("this test does not run within the project")
		}
		root = filepath.Dir(root)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "test", "rke2kit", "build.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build the offline release: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// extractProgram takes one program out of a release.
func extractProgram(release, member, to string) error {
	tarballs, err := filepath.Glob(filepath.Join(release, "rke2.linux-*.tar.gz"))
	if err != nil || len(tarballs) != 1 {
		return fmt.Errorf("want one tarball in %s, got %v, %w", release, tarballs, err)
	}
	f, err := os.Open(tarballs[0])
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", member, tarballs[0], err)
		}
		if strings.TrimPrefix(h.Name, "./") != member {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	}
}

func newServiceAccountKey(t testing.TB) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}
