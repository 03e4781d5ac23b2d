package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/relay"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// DefaultMaxConnections is how many connections to machines there can be at a time.
	DefaultMaxConnections = 1024
	// handshakeTimeout bounds the TLS handshake, and headerTimeout the request after it.
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 10 * time.Second
	// idleTimeout ends a connection that asks for nothing.
	idleTimeout = 30 * time.Second
	// maxHeader bounds a request, in bytes. It names one machine.
	maxHeader = 4096
	// lookupTimeout bounds the look-up of a machine in etcd.
	lookupTimeout = 5 * time.Second
)

// Options configure a server.
type Options struct {
	Listen string // host:port
	// TLS has the server's certificate, and requires one of the installation's authority from clients.
	TLS *tls.Config
	// ReadCluster reads a cluster with the machines of the given indexes, as store.Store.ReadClusterPart does.
	ReadCluster func(ctx context.Context, cluster api.Ref, indexes ...int) (*api.Cluster, error)
	// Dial connects to the SSH port of a machine.
	Dial func(context.Context, remote.Target) (net.Conn, error)
	// MaxConnections bounds the connections to machines; 0 is DefaultMaxConnections.
	MaxConnections int
	// HandshakeTimeout bounds the TLS handshake; 0 is 10 s.
	HandshakeTimeout time.Duration
	Version          string // of this program, for those who check whether the server works
	Log              *slog.Logger
}

// Server passes on connections to the SSH ports of machines.
type Server struct {
	options  Options
	listener net.Listener
	http     *http.Server
	slots    chan struct{} // holds one element for each connection to a machine
	cancel   context.CancelFunc
	serving  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	requests sync.WaitGroup // mu guards its growth
}

// Start listens and serves until Close.
func Start(o Options) (*Server, error) {
	if o.MaxConnections == 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = handshakeTimeout
	}
	// Clients that are gone are found by TCP keep-alive, which listeners of Go use unless they are told not to.
	l, err := net.Listen("tcp", o.Listen) //nolint:noctx // it does not wait
	if err != nil {
		return nil, fmt.Errorf("the gateway cannot listen on %s: %w", o.Listen, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{options: o, listener: l, cancel: cancel, slots: make(chan struct{}, o.MaxConnections)}
	s.http = &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelError), // such as panics
		Protocols:         &http.Protocols{},
	}
	s.http.Protocols.SetHTTP1(true)
	// Twice as many, so that refusals are answered; the rest waits for its turn. A client without a certificate gets an
	// eighth of them.
	authenticated := newHandshakeListener(netutil.LimitListener(l, 2*o.MaxConnections), handshakeOptions{tls: o.TLS,
		timeout: o.HandshakeTimeout, perClient: max(1, o.MaxConnections/4), log: o.Log})
	s.serving.Go(func() {
		if err := s.http.Serve(authenticated); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the gateway has stopped", "error", err)
		}
	})
	return s, nil
}

// Address is the host:port at which the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close stops the server, ends all connections, and waits for their end.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := s.http.Close()
	s.requests.Wait()
	s.serving.Wait()
	return err
}

// beginRequest returns false if the server is closed.
func (s *Server) beginRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.requests.Add(1)
	}
	return !s.closed
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.beginRequest() {
		return
	}
	defer s.requests.Done()
	switch {
	case r.Method == http.MethodGet && r.URL.Path == healthPath:
		fmt.Fprintln(w, s.options.Version)
	case r.Method != http.MethodConnect:
		http.Error(w, "only CONNECT is allowed", http.StatusMethodNotAllowed)
	default:
		s.serveConnect(w, r)
	}
}

// refusal is why no connection is passed on, and the status that says so.
type refusal struct {
	status int
	err    error
}

func (s *Server) serveConnect(w http.ResponseWriter, r *http.Request) {
	logger := s.options.Log.With("certificate", certificateName(r.TLS), "from", r.RemoteAddr)
	name, index, cluster, ok := parseAuthority(r.Host)
	if !ok {
		refuse(w, logger, &refusal{http.StatusBadRequest, errors.New("the target is not MACHINE.CLUSTER-UID:22")})
		return
	}
	logger = logger.With("machine", name, "cluster", cluster.Name)
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		refuse(w, logger, &refusal{http.StatusServiceUnavailable,
			fmt.Errorf("it passes on %d connections already; try again later", s.options.MaxConnections)})
		return
	}
	machine, refused := s.dialMachine(r.Context(), name, index, cluster)
	if refused != nil {
		refuse(w, logger, refused)
		return
	}
	defer machine.Close()
	person, err := acceptConnect(w)
	if err != nil {
		logger.Info("the gateway lost a connection before it was passed on", "error", err)
		return
	}
	defer person.Close()
	logger.Info("the gateway passes on a connection to a machine")
	relay.Streams(r.Context(), person, machine)
}

// certificateName is the name on a client's certificate, which skyd team member gives to one person.
func certificateName(c *tls.ConnectionState) string {
	if c == nil || len(c.PeerCertificates) == 0 {
		return ""
	}
	return c.PeerCertificates[0].Subject.CommonName
}

func refuse(w http.ResponseWriter, logger *slog.Logger, r *refusal) {
	logger.Info("the gateway refused a connection to a machine", "status", r.status, "reason", r.err)
	http.Error(w, r.err.Error(), r.status)
}

// acceptConnect answers a request with success, and takes over its connection.
func acceptConnect(w http.ResponseWriter) (net.Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		conn.Close()
		return nil, err
	}
	return newBufferedConn(conn, buffered.Reader), nil
}

// dialMachine connects to the machine that a request names.
func (s *Server) dialMachine(ctx context.Context, name string, index int, cluster api.Ref) (net.Conn, *refusal) {
	target, refused := s.findTarget(ctx, name, index, cluster)
	if refused != nil {
		return nil, refused
	}
	c, err := s.options.Dial(ctx, target)
	if err != nil {
		return nil, &refusal{http.StatusBadGateway, fmt.Errorf("the machine cannot be reached from there: %w", err)}
	}
	greeted, err := awaitSSHVersion(ctx, c)
	if err != nil {
		c.Close()
		return nil, &refusal{http.StatusBadGateway, fmt.Errorf("the machine cannot be reached from there: %w", err)}
	}
	return greeted, nil
}

// findTarget reads where the machine is from etcd.
func (s *Server) findTarget(ctx context.Context, name string, index int, cluster api.Ref) (remote.Target, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	c, err := s.options.ReadCluster(ctx, cluster, index)
	if missing := new(store.NotFoundError); errors.As(err, &missing) {
		return remote.Target{}, &refusal{http.StatusNotFound,
			fmt.Errorf("there is no cluster %s with UID %s", cluster.Name, cluster.UID)}
	}
	if err != nil {
		return remote.Target{}, &refusal{http.StatusServiceUnavailable, err}
	}
	m := c.FindMachine(name)
	if m == nil {
		return remote.Target{}, &refusal{http.StatusNotFound,
			&access.UnknownError{What: "machine", Name: name, Cluster: cluster.Name}}
	}
	if err := (access.Target{Cluster: c, Machine: *m}).CheckReachable(); err != nil {
		return remote.Target{}, &refusal{http.StatusConflict, err}
	}
	return sshtarget.Of(c, m), nil
}
