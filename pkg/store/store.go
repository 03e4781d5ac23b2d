// Package store keeps the requested and the observed state in etcd: clusters, which are changed by compare-and-swap;
// their machines, under separate keys so that many can be written at once; and secrets, which are encrypted before they
// leave the process.
package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// Options configures the connection to etcd.
type Options struct {
	// Endpoints as http(s)://host:port.
	Endpoints []string
	// Prefix that every key starts with.
	Prefix string
	TLS    *tls.Config
	// SecretsKey is a key of 32 bytes that encrypts secrets. Without it secrets can be neither read nor written.
	SecretsKey []byte
	// DialTimeout bounds the wait for the first answer; 0 is etcd.DefaultDialTimeout.
	DialTimeout time.Duration
	// Patience and OnSlow are those of etcd.Options.
	Patience time.Duration
	OnSlow   func()
}

// Store is one installation's part of an etcd. It is safe for concurrent use.
type Store struct {
	etcd    *etcd.Client
	keys    keys
	box     *secretbox.Box
	leases  eventLease
	learner secretLearner
	servers serverCache
}

// Open connects to etcd. If etcd does not answer in time, the error is an *UnavailableError that names the endpoint.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.SecretsKey != nil && len(o.SecretsKey) != secretbox.KeySize {
		return nil, fmt.Errorf("the secrets key has %d bytes, want %d", len(o.SecretsKey), secretbox.KeySize)
	}
	client, err := etcd.Connect(ctx, etcd.Options{Endpoints: o.Endpoints, TLS: o.TLS, DialTimeout: o.DialTimeout,
		Patience: o.Patience, OnSlow: o.OnSlow})
	if err != nil {
		return nil, err
	}
	return newStore(client, o.Prefix, o.SecretsKey), nil
}

// New returns a Store that uses an existing connection. Without a key it cannot use secrets.
func New(c *clientv3.Client, prefix string, key []byte) *Store {
	return newStore(etcd.NewClient(c), prefix, key)
}

func newStore(client *etcd.Client, prefix string, key []byte) *Store {
	return &Store{etcd: client, keys: keys{prefix: strings.TrimRight(prefix, "/")}, box: secretbox.New(key)}
}

// Close closes the connection.
func (s *Store) Close() error { return s.etcd.Close() }

// ServerVersion returns the version of the etcd server.
func (s *Store) ServerVersion(ctx context.Context) (string, error) { return s.etcd.ServerVersion(ctx) }
