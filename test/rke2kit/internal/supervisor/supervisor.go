// Package supervisor is the head's side of joining: the TLS service on port 9345
// that hands agents their configuration and certificates.
package supervisor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
)

// Port is the supervisor's, as in RKE2.
const Port = "9345"

// Names of the paths and headers that both sides use.
const (
	Prefix             = "/v1-rke2/"
	HeaderNodeName     = "rke2-Node-Name"
	HeaderNodePassword = "rke2-Node-Password"
	HeaderNodeIP       = "rke2-Node-IP"
	// HeaderWait is the kit's own: an agent that sends it is answered as soon as
	// the core is up, instead of 503 at once.
	HeaderWait = "rke2kit-Wait"
	// SnapshotPath takes the requests of `rke2 etcd-snapshot`.
	SnapshotPath = "/db/snapshot"
)

const longestWait = 5 * time.Second

// ClusterConfig is what an agent has to know of the cluster.
type ClusterConfig struct {
	ClusterCIDR   string `json:"clusterCIDR"`
	ServiceCIDR   string `json:"serviceCIDR"`
	ClusterDNS    string `json:"clusterDNS"`
	ClusterDomain string `json:"clusterDomain"`
	CNI           string `json:"cni"`
	// NoCloudController means that Nodes come up initialised.
	NoCloudController bool `json:"noCloudController,omitempty"`
}

// Options are what a supervisor serves.
type Options struct {
	ServerCA, ClientCA *pki.CA
	Hosts              []string // names and addresses of the head
	NodeName           string
	APIServer          string // advertised host:port
	NodePassword       string // password of user node
	ServerPassword     string // password of user server
	Cluster            ClusterConfig
	Snapshots          http.Handler // of `rke2 etcd-snapshot`
}

// Supervisor is the service. The zero value is of no use: see Listen.
type Supervisor struct {
	opts  Options
	ready chan struct{}
	api   *kubeapi.Client // set before ready is closed
	nodes sync.Mutex      // one node password at a time
}

// Listen opens the port and serves until ctx ends. Until MarkCoreReady all but the
// open endpoints answer 503.
func Listen(ctx context.Context, opts Options) (*Supervisor, error) {
	listener, err := net.Listen("tcp", ":"+Port)
	if err != nil {
		return nil, fmt.Errorf("listen on supervisor port: %w", err)
	}
	return Serve(ctx, listener, opts)
}

// Serve is Listen on a listener that is there already; it is closed with ctx.
func Serve(ctx context.Context, listener net.Listener, opts Options) (*Supervisor, error) {
	cert, key, err := opts.ServerCA.Issue(pki.Leaf{CommonName: "rke2", Organizations: []string{"rke2"},
		Hosts: opts.Hosts, Server: true})
	if err != nil {
		return nil, fmt.Errorf("make supervisor certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load supervisor certificate: %w", err)
	}
	s := &Supervisor{opts: opts, ready: make(chan struct{})}
	server := &http.Server{
		Handler: s.newHandler(),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{pair},
			ClientAuth:   tls.VerifyClientCertIfGiven,
			ClientCAs:    opts.ClientCA.CertPool(),
			MinVersion:   tls.VersionTLS12,
		},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          newDiscardLogger(),
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	go func() {
		if err := server.ServeTLS(listener, "", ""); err != nil && ctx.Err() == nil {
			logline.Errorf("supervisor stopped serving: %v", err)
		}
	}()
	return s, nil
}

// MarkCoreReady opens the endpoints that need the apiserver.
func (s *Supervisor) MarkCoreReady(api *kubeapi.Client) {
	s.api = api
	close(s.ready)
}

func (s *Supervisor) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", handleText("pong"))
	mux.HandleFunc("/cacerts", handleText(string(s.opts.ServerCA.PEM)))
	guarded := map[string]http.HandlerFunc{
		"readyz":              handleText("ok"),
		"config":              s.handleJSON(s.opts.Cluster),
		"apiservers":          s.handleJSON([]string{s.opts.APIServer}),
		"server-ca.crt":       handleText(string(s.opts.ServerCA.PEM)),
		"client-ca.crt":       handleText(string(s.opts.ClientCA.PEM)),
		"serving-kubelet.crt": s.handleNodeCertificate(s.opts.ServerCA, kubeletServingLeaf),
		"client-kubelet.crt":  s.handleNodeCertificate(s.opts.ClientCA, kubeletClientLeaf),
		"client-kube-proxy.crt": s.handleNodeCertificate(s.opts.ClientCA, func(string, string) pki.Leaf {
			return pki.Leaf{CommonName: "system:kube-proxy", Client: true}
		}),
	}
	for name, handler := range guarded {
		mux.Handle(Prefix+name, s.requireRole(roleNode, handler))
	}
	mux.Handle(Prefix+"server-bootstrap", s.requireRole(roleServer, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the kit has one server only", http.StatusNotImplemented)
	}))
	if s.opts.Snapshots != nil {
		mux.Handle(SnapshotPath, s.requireRole(roleServer, s.opts.Snapshots.ServeHTTP))
	}
	return mux
}

// requireRole lets through who has the role, once the core is up.
func (s *Supervisor) requireRole(need role, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := s.authenticate(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="rke2"`)
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		if !s.awaitReady(r) {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		if !id.hasRole(need) {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		next(w, r.WithContext(withIdentity(r.Context(), id)))
	})
}

func (s *Supervisor) awaitReady(r *http.Request) bool {
	select {
	case <-s.ready:
		return true
	default:
	}
	if r.Header.Get(HeaderWait) == "" {
		return false
	}
	select {
	case <-s.ready:
		return true
	case <-r.Context().Done():
		return false
	case <-time.After(longestWait):
		return false
	}
}

func (s *Supervisor) handleJSON(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
}

func handleText(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(body))
	}
}
