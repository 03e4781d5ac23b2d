// Package store keeps the requested and the observed state in etcd: clusters, changed by compare-and-swap on their
// revision; their machines, under keys of their own so that many can be written at once; and secrets, encrypted before
// they leave the process.
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

// Options says which etcd to use, and how to reach it.
type Options struct {
	// Endpoints as http(s)://host:port.
	Endpoints []string
	// Prefix that every key starts with.
	Prefix string
	TLS    *tls.Config
	// SecretsKey of 32 bytes encrypts secrets. Without it they can be neither read nor written.
	SecretsKey []byte
	// DialTimeout bounds the wait for the first answer; 0 is etcd.DefaultDialTimeout.
	DialTimeout time.Duration
}

// Store is one installation's part of an etcd. It is safe for concurrent use.
type Store struct {
	etcd    *etcd.Client
	keys    keys
	box     *secretbox.Box
	leases  eventLease
	learner secretLearner
}

// Open connects to etcd. If etcd does not answer in time, the error is an *UnavailableError that names the endpoint.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.SecretsKey != nil && len(o.SecretsKey) != secretbox.KeySize {
		return nil, fmt.Errorf("the secrets key has %d bytes, %d are needed", len(o.SecretsKey), secretbox.KeySize)
	}
	client, err := etcd.Connect(ctx, etcd.Options{Endpoints: o.Endpoints, TLS: o.TLS, DialTimeout: o.DialTimeout})
	if err != nil {
		return nil, err
	}
	return newStore(client, o.Prefix, o.SecretsKey), nil
}

// New is a Store over a connection that exists already. Without a key it cannot use secrets.
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
