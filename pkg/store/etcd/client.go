// Package etcd connects to etcd and writes to it by compare-and-swap. Every exchange has a time limit, and an error
// says what was being done and at which endpoint. The package links etcd's client only.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"

	"github.com/sky-shift/skyctl/pkg/requestlog"
)

const (
	// DefaultDialTimeout is how long Connect waits for etcd to answer.
	DefaultDialTimeout = 2 * time.Second
	// callTimeout bounds one exchange with etcd, even if its caller would wait longer.
	callTimeout = 5 * time.Second
	// minConnectTimeout is how long the handshake of a connection may take.
	minConnectTimeout = 2 * time.Second
	// flowControlWindow lets a list of some thousand clusters arrive without a pause.
	flowControlWindow = 8 << 20
)

// Options configures the connection to etcd.
type Options struct {
	// Endpoints as http(s)://host:port.
	Endpoints []string
	TLS       *tls.Config
	// DialTimeout bounds the wait for the first answer; 0 is DefaultDialTimeout.
	DialTimeout time.Duration
	// Patience is how long a connection or a call may take while etcd is only slow: it accepts connections. If it is
	// zero, a slow etcd counts as unreachable as soon as one that is down.
	Patience time.Duration
	// OnSlow is called while a patient connection or call takes longer than usual; nil calls nothing.
	OnSlow func()
}

// Client is a connection to etcd. It is safe for concurrent use.
type Client struct {
	client   *clientv3.Client
	patience time.Duration
	onSlow   func()
}

// Connect connects to etcd. If etcd does not answer in time, the error is an *UnavailableError that names the endpoint.
func Connect(ctx context.Context, o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoint is set")
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	if o.OnSlow == nil {
		o.OnSlow = func() {}
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            o.Endpoints,
		TLS:                  o.TLS,
		DialKeepAliveTime:    15 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		Logger:               zap.NewNop(),
		DialOptions:          dialOptions(o),
	})
	if err != nil {
		return nil, fmt.Errorf("etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	if err := awaitConnection(ctx, client, o); err != nil {
		client.Close()
		return nil, err
	}
	c := NewClient(client)
	c.patience, c.onSlow = o.Patience, o.OnSlow
	return c, nil
}

func dialOptions(o Options) []grpc.DialOption {
	list := append(requestlog.DialOptions(),
		grpc.WithInitialWindowSize(flowControlWindow),
		grpc.WithInitialConnWindowSize(flowControlWindow),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2,
				MaxDelay: 2 * time.Second},
			MinConnectTimeout: max(minConnectTimeout, o.Patience),
		}))
	if o.TLS != nil && o.TLS.ServerName != "" {
		// Otherwise etcd's client has gRPC expect the host of the endpoint on the certificate.
		list = append(list, grpc.WithAuthority(o.TLS.ServerName))
	}
	return list
}

// NewClient returns a Client that uses an existing connection.
func NewClient(c *clientv3.Client) *Client { return &Client{client: c} }

// Close closes the connection.
func (c *Client) Close() error {
	if err := c.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("closing the connection to etcd: %w", err)
	}
	return nil
}

// awaitConnection returns once one of the endpoints has completed the connection's handshake. It sends no request.
func awaitConnection(ctx context.Context, c *clientv3.Client, o Options) error {
	begun := time.Now()
	for {
		if awaitReady(ctx, c, o.DialTimeout) {
			return nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("connecting to etcd: %w", ctx.Err())
		}
		slow, cause := probeEndpoint(ctx, o)
		if !slow || ctx.Err() != nil || time.Since(begun) >= o.Patience {
			return &UnavailableError{Endpoints: o.Endpoints, Cause: cause}
		}
		o.OnSlow()
	}
}

// awaitReady reports whether the connection is there within a time.
func awaitReady(ctx context.Context, c *clientv3.Client, limit time.Duration) bool {
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn := c.ActiveConnection()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return true
		}
		conn.Connect()
		if !conn.WaitForStateChange(wait, state) {
			return false
		}
	}
}
