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

// closableClient is a clientset with its own connections. client-go would share connections among the clients of a
// cluster, but leaves them open after it has forgotten the last client: a sweep over a thousand clusters would leave a
// thousand open connections.
type closableClient struct {
	kubernetes.Interface
	connections *connectionTracker
}

// CloseClient closes all connections of a client. Without it, they close after idleConnectionTimeout.
func CloseClient(cs kubernetes.Interface) {
	if c, ok := cs.(*closableClient); ok {
		c.connections.closeAll()
	}
}

// idleConnectionTimeout is how long an idle connection stays open.
const idleConnectionTimeout = 10 * time.Second

// ClientOption changes how a client is built.
type ClientOption func(*clientOptions)

type clientOptions struct{ brief bool }

// ShortLived is for a client that makes a few calls, each with a deadline, before it is closed. It turns off the health
// checks of connections, which keep the memory of a closed connection for half a minute in golang.org/x/net/http2.
func ShortLived(o *clientOptions) { o.brief = true }

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func newClosableClient(config *rest.Config, dial dialFunc, options []ClientOption) (kubernetes.Interface, error) {
	var o clientOptions
	for _, set := range options {
		set(&o)
	}
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	tracker := &connectionTracker{open: map[net.Conn]struct{}{}}
	transport := &http.Transport{TLSClientConfig: tls, IdleConnTimeout: idleConnectionTimeout, Proxy: useNoProxy,
		DialContext: tracker.trackDials(dial)}
	if o.brief {
		transport = utilnet.SetOldTransportDefaults(transport)
		transport.ForceAttemptHTTP2 = true
	} else {
		transport = utilnet.SetTransportDefaults(transport)
	}
	wrapped, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, fmt.Errorf("creating a Kubernetes client: %w", err)
	}
	cs, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: wrapped})
	if err != nil {
		return nil, fmt.Errorf("creating a Kubernetes client: %w", err)
	}
	return &closableClient{Interface: cs, connections: tracker}, nil
}

// useNoProxy makes a transport use no proxy. Without it, apimachinery sets the proxy of the environment.
func useNoProxy(*http.Request) (*url.URL, error) { return nil, nil }

// connectionTracker holds the open connections of one client. http.Transport.CloseIdleConnections would miss a
// connection whose response has just arrived, because the transport marks it idle a moment later.
type connectionTracker struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// trackDials returns a dial function whose connections are tracked while they are open.
func (c *connectionTracker) trackDials(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tracked := &trackedConnection{Conn: conn, tracker: c}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open[tracked] = struct{}{}
		return tracked, nil
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
		_ = conn.Close() // no call is waiting on it
	}
}

type trackedConnection struct {
	net.Conn
	tracker *connectionTracker
}

// Close implements net.Conn.
func (c *trackedConnection) Close() error {
	c.tracker.mu.Lock()
	delete(c.tracker.open, net.Conn(c))
	c.tracker.mu.Unlock()
	return c.Conn.Close()
}
