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

// kubeAPI answers for the Kubernetes API of one cluster, at an address of its own, over HTTP/2, with an authority of its own
// that has to have signed the client's certificate: nothing is shared with another cluster by accident. Its answers have the
// size of real ones and are made beforehand, since real API servers have machines of their own.
type kubeAPI struct {
	name       string
	kubeconfig []byte
	asked      *atomic.Int64 // lists of nodes, those of all clusters
	http       *http.Server

	mu     sync.Mutex
	nodes  []corev1.Node
	pods   []corev1.Pod
	answer map[string][]byte // what is listed, by path
}

func newKubeAPI(name string, nodeNames []string, asked *atomic.Int64) *kubeAPI {
	k := &kubeAPI{name: name, asked: asked}
	for i, n := range nodeNames {
		k.nodes = append(k.nodes, nodeLike(n, i == 0))
		k.pods = append(k.pods, podsLike(n, i == 0)...)
	}
	k.http = &http.Server{
		Handler: k.handler(), ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // of clients that hang up at the end
	}
	return k
}

// listen serves at an address until stop.
func (k *kubeAPI) listen(ctx context.Context, dir, address string) error {
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
	serverCert, serverKey, err := authority.Issue(pki.Leaf{Subject: "kube-apiserver", Server: true, Hosts: []string{host, "kubernetes", "localhost"}}, now)
	if err != nil {
		return err
	}
	clientCert, clientKey, err := authority.Issue(pki.Leaf{Subject: "system:admin", Client: true}, now)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(serverCert, serverKey)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority.PEM())
	k.http.TLSConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	if k.kubeconfig, err = kubeconfigOf(k.name, "https://"+address, authority.PEM(), clientCert, clientKey); err != nil {
		return err
	}
	if err := k.encode(); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve the API of cluster %s: %w", k.name, err)
	}
	go func() { _ = k.http.ServeTLS(l, "", "") }() // returns when it is closed
	return nil
}

func kubeconfigOf(cluster, server string, ca, cert, key []byte) ([]byte, error) {
	c := clientcmdapi.NewConfig()
	c.CurrentContext = cluster
	c.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	c.AuthInfos[cluster] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	c.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: cluster}
	return clientcmd.Write(*c)
}

func (k *kubeAPI) stop() error { return k.http.Close() }

// lose has Kubernetes find out that a node's kubelet is silent.
func (k *kubeAPI) lose(node string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.nodes {
		if n := &k.nodes[i]; n.Name == node {
			setReady(n, corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.")
			return k.encode()
		}
	}
	return errors.New("no such node: " + node)
}

// encode makes the answers. The lock is held, or nobody else there yet.
func (k *kubeAPI) encode() error {
	nodes, err := protobufOf(&corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, Items: k.nodes})
	if err != nil {
		return err
	}
	pods, err := protobufOf(&corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: k.pods})
	k.answer = map[string][]byte{"/api/v1/nodes": nodes, "/api/v1/pods": pods}
	return err
}

func protobufOf(o runtime.Object) ([]byte, error) {
	var b bytes.Buffer
	err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(o, &b)
	return b.Bytes(), err
}

// handler is as much of the API as a sweep asks, and the repair of a worker up to the launch of a new machine.
func (k *kubeAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		k.list(w, r)
	})
	mux.HandleFunc("GET /api/v1/pods", k.list)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}", k.cordon)
	mux.HandleFunc("DELETE /api/v1/nodes/{name}", k.deleteNode)
	mux.HandleFunc("DELETE /api/v1/namespaces/{namespace}/secrets/{name}", func(w http.ResponseWriter, _ *http.Request) { done(w) })
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{name}/eviction", k.evict)
	return mux
}

func (k *kubeAPI) list(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	body := k.answer[r.URL.Path]
	if _, node, only := strings.Cut(r.URL.Query().Get("fieldSelector"), "spec.nodeName="); only {
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: slices.DeleteFunc(
			slices.Clone(k.pods), func(p corev1.Pod) bool { return p.Spec.NodeName != node })}
		body, _ = protobufOf(&list) // as encode has seen it can be
	}
	k.mu.Unlock()
	reply(w, http.StatusOK, body)
}

func (k *kubeAPI) cordon(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.nodes {
		if n := &k.nodes[i]; n.Name == r.PathValue("name") {
			n.Spec.Unschedulable = true
			body, err := protobufOf(n)
			if err = errors.Join(err, k.encode()); err == nil {
				reply(w, http.StatusOK, body)
			}
			return
		}
	}
	status(w, http.StatusNotFound, metav1.StatusReasonNotFound)
}

func (k *kubeAPI) deleteNode(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := r.PathValue("name")
	k.nodes = slices.DeleteFunc(k.nodes, func(n corev1.Node) bool { return n.Name == name })
	k.pods = slices.DeleteFunc(k.pods, func(p corev1.Pod) bool { return p.Spec.NodeName == name })
	if k.encode() == nil {
		done(w)
	}
}

// evict marks a pod, which stays: its kubelet is not there to end it.
func (k *kubeAPI) evict(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.pods {
		if p := &k.pods[i]; p.Namespace == r.PathValue("namespace") && p.Name == r.PathValue("name") {
			p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
	}
	if k.encode() == nil {
		done(w)
	}
}

func done(w http.ResponseWriter) { status(w, http.StatusOK, "") }

func status(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	s := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess, Reason: reason}
	if code != http.StatusOK {
		s.Status, s.Code = metav1.StatusFailure, int32(code) //nolint:gosec // an HTTP status
	}
	if body, err := protobufOf(&s); err == nil {
		reply(w, code, body)
	}
}

func reply(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
	w.WriteHeader(code)
	_, _ = w.Write(body) // to a client that may have hung up
}
