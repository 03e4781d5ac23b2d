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
)

const (
	// DefaultDialTimeout is how long Connect waits for etcd to answer.
	DefaultDialTimeout = 2 * time.Second
	// callTimeout bounds one exchange with etcd, even if its caller would wait longer.
	callTimeout = 5 * time.Second
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
}

// Client is a connection to etcd. It is safe for concurrent use.
type Client struct {
	client *clientv3.Client
}

// Connect connects to etcd. If etcd does not answer in time, the error is an *UnavailableError that names the endpoint.
func Connect(ctx context.Context, o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoint is set")
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            o.Endpoints,
		TLS:                  o.TLS,
		DialKeepAliveTime:    15 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		Logger:               zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithInitialWindowSize(flowControlWindow),
			grpc.WithInitialConnWindowSize(flowControlWindow),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2,
					MaxDelay: 2 * time.Second},
				MinConnectTimeout: 2 * time.Second,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	if err := awaitConnection(ctx, client, o); err != nil {
		client.Close()
		return nil, err
	}
	return NewClient(client), nil
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
	wait, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	conn := c.ActiveConnection()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		conn.Connect()
		if conn.WaitForStateChange(wait, state) {
			continue
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("connecting to etcd: %w", ctx.Err())
		}
		return &UnavailableError{Endpoints: o.Endpoints, Cause: probeEndpoint(ctx, o)}
	}
}
