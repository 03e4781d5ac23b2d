package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// closableClient is a clientset with connections of its own. client-go would share them among the clients of a cluster,
// but forgets about them once none is left, and leaves them open: a sweep over a thousand clusters would leave a
// thousand behind.
type closableClient struct {
	kubernetes.Interface
	connections *connectionTracker
}

// CloseClient ends all connections of a client. Who is done with it calls this; where nobody does, they end once they
// were not used for some seconds.
func CloseClient(cs kubernetes.Interface) {
	if c, ok := cs.(*closableClient); ok {
		c.connections.closeAll()
	}
}

// idleConnectionTimeout is how long a connection that nobody uses is kept.
const idleConnectionTimeout = 10 * time.Second

// ClientOption is how a client is to be.
type ClientOption func(*clientOptions)

type clientOptions struct{ brief bool }

// ShortLived is for a client that is closed once it has asked a few things, each within a deadline. Nobody watches over
// its connections; that would keep what they hold for half a minute after they were closed, in golang.org/x/net/http2.
func ShortLived(o *clientOptions) { o.brief = true }

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func newClosableClient(config *rest.Config, dial dialFunc, how []ClientOption) (kubernetes.Interface, error) {
	var o clientOptions
	for _, set := range how {
		set(&o)
	}
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	own := &connectionTracker{open: map[net.Conn]struct{}{}}
	transport := &http.Transport{TLSClientConfig: tls, IdleConnTimeout: idleConnectionTimeout, Proxy: useNoProxy,
		DialContext: own.trackDials(dial)}
	if o.brief {
		transport = utilnet.SetOldTransportDefaults(transport)
		transport.ForceAttemptHTTP2 = true
	} else {
		transport = utilnet.SetTransportDefaults(transport)
	}
	wrapped, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	cs, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: wrapped})
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	return &closableClient{Interface: cs, connections: own}, nil
}

// useNoProxy is for a transport that uses no proxy. Without it, the defaults of apimachinery take the environment's.
func useNoProxy(*http.Request) (*url.URL, error) { return nil, nil }

// connectionTracker are those of one client that are open. A transport's own way to close them spares the one whose
// answer has just arrived, since it takes note of that a moment later.
type connectionTracker struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// trackDials dials, and remembers what comes of it for as long as it is open.
func (c *connectionTracker) trackDials(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		known := &trackedConnection{Conn: conn, of: c}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open[known] = struct{}{}
		return known, nil
	}
}

func (c *connectionTracker) closeAll() {
	c.mu.Lock()
	all := make([]net.Conn, 0, len(c.open))
	for conn := range c.open {
		all = append(all, conn)
	}
	c.mu.Unlock()
	for _, conn := range all {
		_ = conn.Close() // nobody waits for anything on it
	}
}

type trackedConnection struct {
	net.Conn
	of *connectionTracker
}

// Close implements net.Conn.
func (c *trackedConnection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, net.Conn(c))
	c.of.mu.Unlock()
	return c.Conn.Close()
}
