package scriptedcloud

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// cluster is the Kubernetes API of a cluster: Nodes to list, watch, cordon and delete, and no pods.
type cluster struct {
	mu         sync.Mutex
	http       *http.Server
	kubeconfig string
	agentToken string
	nodes      map[string]*corev1.Node
	// log has every change of a Node as a line of a watch. Its length is the resource version.
	log [][]byte
	// changed is closed and replaced at each change.
	changed chan struct{}
}

func newCluster() *cluster {
	return &cluster{nodes: map[string]*corev1.Node{}, changed: make(chan struct{})}
}

func (c *cluster) setAgentToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agentToken = token
}

// serveAPI serves the API at an address until stopAPI, with an authority of its own.
func (c *cluster) serveAPI(address string) error {
	dir, err := os.MkdirTemp("", "scriptedcloud")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	now := time.Now()
	ca, err := pki.EnsureAuthority(pki.Pair{Cert: filepath.Join(dir, "ca.crt"), Key: filepath.Join(dir, "ca.key")},
		"rke2-server-ca", now)
	if err != nil {
		return err
	}
	certificate, key, err := ca.IssueCertificate(pki.Leaf{Subject: "kube-apiserver", Server: true,
		Hosts: []string{address}}, now)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	certificate, key, err = ca.IssueCertificate(pki.Leaf{Subject: "system:admin", Client: true}, now)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca.CertificatePEM())
	l, err := net.Listen("tcp", net.JoinHostPort(address, "6443")) //nolint:noctx // at once
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kubeconfig, err = renderKubeconfig(ca.CertificatePEM(), certificate, key)
	c.http = &http.Server{Handler: c.newHandler(), ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // clients hang up at the end
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: clients,
			ClientAuth: tls.RequireAndVerifyClientCert}}
	go func() { _ = c.http.ServeTLS(l, "", "") }() // returns when it is closed
	return err
}

// renderKubeconfig returns an administrator's kubeconfig, as RKE2 writes it on a head.
func renderKubeconfig(ca, certificate, key []byte) (string, error) {
	const name = "default"
	k := clientcmdapi.NewConfig()
	k.CurrentContext = name
	k.Clusters[name] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:6443", CertificateAuthorityData: ca}
	k.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	k.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	text, err := clientcmd.Write(*k)
	return string(text), err
}

func (c *cluster) stopAPI() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil {
		_ = c.http.Close()
	}
}

// newNode returns the Node that a machine registers.
func newNode(c rke2Config, ready bool) *corev1.Node {
	labels := map[string]string{}
	for _, label := range c.Labels {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	has := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"),
		corev1.ResourceMemory: resource.MustParse("4Gi")}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: c.NodeName, Labels: labels, CreationTimestamp: metav1.Now()},
		Status: corev1.NodeStatus{Capacity: has, Allocatable: has,
			NodeInfo: corev1.NodeSystemInfo{KubeletVersion: simcloud.Version},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, Reason: "Kubelet",
				LastTransitionTime: metav1.Now()}}},
	}
}

// putNode creates or replaces a Node.
func (c *cluster) putNode(n *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := "MODIFIED"
	if c.nodes[n.Name] == nil {
		kind = "ADDED"
	}
	c.nodes[n.Name] = n
	c.logChange(kind, n)
}

// logChange tells those who watch about a change. The caller holds the lock.
func (c *cluster) logChange(kind string, n *corev1.Node) {
	n.ResourceVersion = strconv.Itoa(len(c.log) + 1)
	line, _ := json.Marshal(map[string]any{"type": kind, "object": n}) // a Node can be encoded
	c.log = append(c.log, line)
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *cluster) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", c.handleListNodes)
	mux.HandleFunc("GET /api/v1/nodes/{name}", c.handleNode)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}", c.handleNode)
	mux.HandleFunc("DELETE /api/v1/nodes/{name}", c.handleNode)
	mux.HandleFunc("GET /api/v1/pods", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}})
	})
	mux.HandleFunc("DELETE /api/v1/namespaces/kube-system/secrets/{name}",
		func(w http.ResponseWriter, _ *http.Request) { writeSuccess(w) })
	return mux
}

func (c *cluster) handleListNodes(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") != "" {
		c.watchNodes(w, r)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, only, _ := strings.Cut(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	list := &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"},
		ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(len(c.log))}}
	for name, n := range c.nodes {
		if only == "" || only == name {
			list.Items = append(list.Items, *n)
		}
	}
	writeJSON(w, list)
}

// watchNodes sends the changes since a resource version until the client hangs up.
func (c *cluster) watchNodes(w http.ResponseWriter, r *http.Request) {
	seen, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		c.mu.Lock()
		lines, changed := c.log[min(seen, len(c.log)):], c.changed
		c.mu.Unlock()
		seen += len(lines)
		_, _ = w.Write(bytes.Join(lines, []byte("\n")))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

// handleNode returns, cordons or deletes a Node.
func (c *cluster) handleNode(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[r.PathValue("name")]
	if n == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodDelete:
		delete(c.nodes, n.Name)
		c.logChange("DELETED", n)
		writeSuccess(w)
		return
	case http.MethodPatch:
		var patch struct{ Spec struct{ Unschedulable bool } }
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			http.Error(w, fmt.Sprintf("the patch: %v", err), http.StatusBadRequest)
			return
		}
		n.Spec.Unschedulable = patch.Spec.Unschedulable
		c.logChange("MODIFIED", n)
	}
	writeJSON(w, n)
}

func writeSuccess(w http.ResponseWriter) {
	writeJSON(w, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status: metav1.StatusSuccess})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
