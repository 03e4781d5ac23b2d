// Package store keeps what is wanted and what is known in etcd: clusters, changed by compare-and-swap on their
// revision; their machines, under keys of their own so that many can be written at once; and secrets, encrypted before
// they leave the process. It links etcd's client only.
package store

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
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
	// DefaultDialTimeout is how long Open waits for etcd to answer.
	DefaultDialTimeout = 2 * time.Second
	// callTimeout bounds one exchange with etcd, however long its caller would wait.
	callTimeout = 5 * time.Second
	// flowControlWindow is the flow-control window of the connection: a list of some thousand clusters arrives without
	// a pause.
	flowControlWindow = 8 << 20
)

// Options says which etcd, and how to reach it.
type Options struct {
	// Endpoints as http(s)://host:port.
	Endpoints []string
	// Prefix that every key starts with.
	Prefix string
	TLS    *tls.Config
	// SecretsKey of 32 bytes encrypts secrets; without it they can neither be read nor written.
	SecretsKey []byte
	// DialTimeout bounds the wait for the first answer; 0 is DefaultDialTimeout.
	DialTimeout time.Duration
}

// Store is one installation's part of an etcd. It may be used by many goroutines at once.
type Store struct {
	client  *clientv3.Client
	keys    keys
	seal    *sealer
	leases  eventLease
	learner secretLearner
}

// Open connects to etcd. Where it does not answer in time the error is an *UnavailableError that names the endpoint.
func Open(ctx context.Context, o Options) (*Store, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoint is set")
	}
	if o.SecretsKey != nil && len(o.SecretsKey) != KeySize {
		return nil, fmt.Errorf("the secrets key has %d bytes, %d are needed", len(o.SecretsKey), KeySize)
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
	return New(client, o.Prefix, o.SecretsKey), nil
}

// New is a Store over a client that stands already. The key may be nil: then secrets can't be used.
func New(c *clientv3.Client, prefix string, key []byte) *Store {
	return &Store{client: c, keys: keys{prefix: strings.TrimRight(prefix, "/")}, seal: newSealer(key)}
}

// Close ends the connection.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("closing the connection to etcd: %w", err)
	}
	return nil
}

// awaitConnection returns once one of the endpoints speaks to us. It asks nothing of etcd: the connection's own
// handshake is the answer.
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

// EnsureInstallationID is the id of this etcd's installation. The first call makes it; every other one, from any
// process, returns the same. One that was lost is put back from the record of the home; where that is lost too, and
// machines are recorded that carry it, there is no making another: they would be nobody's from then on.
func (s *Store) EnsureInstallationID(ctx context.Context) (string, error) {
	const doing = "reading the installation's id"
	key := s.keys.installationKey()
	resp, err := s.getKeys(ctx, doing, key)
	if err != nil {
		return "", err
	}
	if len(resp.Kvs) > 0 && len(resp.Kvs[0].Value) > 0 {
		return string(resp.Kvs[0].Value), nil
	}
	h, err := s.ReadHome(ctx)
	if err != nil {
		return "", err
	}
	made := h.Installation
	if made == "" {
		id := make([]byte, 8)
		if _, err := rand.Read(id); err != nil {
			return "", fmt.Errorf("making the installation's id: %w", err)
		}
		made = hex.EncodeToString(id)
	}
	when := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}
	if h.Installation == "" {
		when = append(when, clientv3.Compare(clientv3.CreateRevision(s.keys.allMachinesPrefix()).WithPrefix(), "=", 0))
	}
	done, err := s.commitTxn(ctx, doing, when, []clientv3.Op{clientv3.OpPut(key, made)},
		[]clientv3.Op{clientv3.OpGet(key)})
	if err != nil {
		return "", err
	}
	if done.Succeeded {
		return made, nil
	}
	if kv := firstKV(done, 0); kv != nil && len(kv.Value) > 0 { // another was faster
		return string(kv.Value), nil
	}
	return "", &CorruptError{Keys: []string{key},
		Cause: errors.New("the installation's id is gone, though there are machines that carry it: " +
			"put it back from a backup of etcd, or from the label of a machine")}
}
