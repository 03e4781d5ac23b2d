package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sky-shift/skyctl/pkg/pki"
)

// kubeAPIStub is the Kubernetes API of one cluster, with its own address, over HTTP/2, and its own authority, which
// must have signed the client's certificate: no cluster shares anything with another by accident. Its responses have
// realistic sizes and are built in advance, because real API servers run on other machines.
type kubeAPIStub struct {
	name       string
	kubeconfig []byte
	asked      *atomic.Int64 // lists of nodes, those of all clusters
	http       *http.Server

	mu     sync.Mutex
	nodes  []corev1.Node
	pods   []corev1.Pod
	answer map[string][]byte // the lists, by path
}

func newKubeAPIStub(name string, nodeNames []string, asked *atomic.Int64) *kubeAPIStub {
	k := &kubeAPIStub{name: name, asked: asked}
	for i, n := range nodeNames {
		k.nodes = append(k.nodes, newReadyNode(n, i == 0))
		k.pods = append(k.pods, newNodePods(n, i == 0)...)
	}
	k.http = &http.Server{
		Handler: k.newHandler(), ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // clients hang up at the end
	}
	return k
}

// startServing serves at an address until stop.
func (k *kubeAPIStub) startServing(ctx context.Context, dir, address string) error {
	now := time.Now()
	at := filepath.Join(dir, k.name)
	authority, err := pki.EnsureAuthority(pki.Pair{Cert: at + ".crt", Key: at + ".key"}, "rke2-ca "+k.name, now)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	serverCert, serverKey, err := authority.IssueCertificate(pki.Leaf{Subject: "kube-apiserver", Server: true,
		Hosts: []string{host, "kubernetes", "localhost"}}, now)
	if err != nil {
		return err
	}
	clientCert, clientKey, err := authority.IssueCertificate(pki.Leaf{Subject: "system:admin", Client: true}, now)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(serverCert, serverKey)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority.CertificatePEM())
	k.http.TLSConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: clients,
		ClientAuth: tls.RequireAndVerifyClientCert,
	}
	if k.kubeconfig, err = renderKubeconfig(k.name, "https://"+address, authority.CertificatePEM(), clientCert,
		clientKey); err != nil {
		return err
	}
	if err := k.encodeAnswers(); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve the API of cluster %s: %w", k.name, err)
	}
	go func() { _ = k.http.ServeTLS(l, "", "") }() // returns when it is closed
	return nil
}

func renderKubeconfig(cluster, server string, ca, cert, key []byte) ([]byte, error) {
	c := clientcmdapi.NewConfig()
	c.CurrentContext = cluster
	c.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	c.AuthInfos[cluster] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	c.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: cluster}
	return clientcmd.Write(*c)
}

func (k *kubeAPIStub) stop() error { return k.http.Close() }

// markNodeSilent marks a Node as one whose kubelet does not answer.
func (k *kubeAPIStub) markNodeSilent(node string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.nodes {
		if n := &k.nodes[i]; n.Name == node {
			setNodeReady(n, corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.")
			return k.encodeAnswers()
		}
	}
	return errors.New("no such node: " + node)
}

// encodeAnswers builds the responses. The caller holds the lock, or is the only user so far.
func (k *kubeAPIStub) encodeAnswers() error {
	nodes, err := encodeProtobuf(&corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"},
		Items: k.nodes})
	if err != nil {
		return err
	}
	pods, err := encodeProtobuf(&corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"},
		Items: k.pods})
	k.answer = map[string][]byte{"/api/v1/nodes": nodes, "/api/v1/pods": pods}
	return err
}

func encodeProtobuf(o runtime.Object) ([]byte, error) {
	var b bytes.Buffer
	err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(o, &b)
	return b.Bytes(), err
}

// newHandler serves the part of the API that a sweep uses, and a worker's repair up to the launch of a new machine.
func (k *kubeAPIStub) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		k.handleList(w, r)
	})
	mux.HandleFunc("GET /api/v1/pods", k.handleList)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}", k.handleCordon)
	mux.HandleFunc("DELETE /api/v1/nodes/{name}", k.handleDeleteNode)
	mux.HandleFunc("DELETE /api/v1/namespaces/{namespace}/secrets/{name}",
		func(w http.ResponseWriter, _ *http.Request) { writeSuccess(w) })
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{name}/eviction", k.handleEvict)
	return mux
}

func (k *kubeAPIStub) handleList(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	body := k.answer[r.URL.Path]
	if _, node, only := strings.Cut(r.URL.Query().Get("fieldSelector"), "spec.nodeName="); only {
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: slices.DeleteFunc(
			slices.Clone(k.pods), func(p corev1.Pod) bool { return p.Spec.NodeName != node })}
		body, _ = encodeProtobuf(&list) // encodeAnswers has done the same without an error
	}
	k.mu.Unlock()
	writeProtobuf(w, http.StatusOK, body)
}

func (k *kubeAPIStub) handleCordon(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.nodes {
		if n := &k.nodes[i]; n.Name == r.PathValue("name") {
			n.Spec.Unschedulable = true
			body, err := encodeProtobuf(n)
			if err = errors.Join(err, k.encodeAnswers()); err == nil {
				writeProtobuf(w, http.StatusOK, body)
			}
			return
		}
	}
	writeStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound)
}

func (k *kubeAPIStub) handleDeleteNode(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := r.PathValue("name")
	k.nodes = slices.DeleteFunc(k.nodes, func(n corev1.Node) bool { return n.Name == name })
	k.pods = slices.DeleteFunc(k.pods, func(p corev1.Pod) bool { return p.Spec.NodeName == name })
	if k.encodeAnswers() == nil {
		writeSuccess(w)
	}
}

// handleEvict marks a pod, which stays: no kubelet terminates it.
func (k *kubeAPIStub) handleEvict(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.pods {
		if p := &k.pods[i]; p.Namespace == r.PathValue("namespace") && p.Name == r.PathValue("name") {
			p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
	}
	if k.encodeAnswers() == nil {
		writeSuccess(w)
	}
}

func writeSuccess(w http.ResponseWriter) { writeStatus(w, http.StatusOK, "") }

func writeStatus(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	s := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess,
		Reason: reason}
	if code != http.StatusOK {
		s.Status, s.Code = metav1.StatusFailure, int32(code) //nolint:gosec // an HTTP status
	}
	if body, err := encodeProtobuf(&s); err == nil {
		writeProtobuf(w, code, body)
	}
}

func writeProtobuf(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	w.WriteHeader(code)
	_, _ = w.Write(body) // to a client that may have hung up
}
