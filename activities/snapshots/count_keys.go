package snapshots

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
	"github.com/sky-shift/skyctl/pkg/remote"
)

const (
	// etcdAddress is etcd's client port on a server of RKE2, which only that machine reaches.
	etcdAddress = "127.0.0.1:2379"
	// etcdTLSDir has the certificates of etcd's clients on a server of RKE2 (k3s pkg/daemons/control/deps/deps.go).
	etcdTLSDir = "/var/lib/rancher/rke2/server/tls/etcd/"
	// pageKeys is how many keys one answer of etcd has. Without values it has some hundred kilobytes.
	pageKeys = 5000
	// etcdTimeout bounds one answer.
	etcdTimeout = time.Minute
)

// countKeys counts the keys of a server's etcd at a revision by their registry prefix. It asks etcd itself, over the
// SSH connection to the machine: RKE2 brings no client of etcd.
func countKeys(ctx context.Context, h *remote.Host, revision int64) (map[string]int64, error) {
	client, err := newEtcdClient(ctx, h)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	return countAtRevision(ctx, client, revision)
}

func newEtcdClient(ctx context.Context, h *remote.Host) (*clientv3.Client, error) {
	files := map[string][]byte{}
	for _, name := range []string{"server-ca.crt", "client.crt", "client.key"} {
		content, err := h.ReadFile(ctx, etcdTLSDir+name)
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	pair, err := tls.X509KeyPair(files["client.crt"], files["client.key"])
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of etcd's client on machine %s: %w", h.Name(), err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files["server-ca.crt"]) {
		return nil, fmt.Errorf("machine %s has no certificate of etcd's authority", h.Name())
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + etcdAddress}, Logger: zap.NewNop(), Context: ctx,
		TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return h.DialContext(ctx, "tcp", etcdAddress)
		})},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd on machine %s: %w", h.Name(), err)
	}
	return client, nil
}

// countAtRevision reads the names of all keys at a revision, page by page.
func countAtRevision(ctx context.Context, client clientv3.KV, revision int64) (map[string]int64, error) {
	counts := map[string]int64{}
	for from := "\x00"; ; {
		page, cancel := context.WithTimeout(ctx, etcdTimeout)
		resp, err := client.Get(page, from, clientv3.WithFromKey(), clientv3.WithKeysOnly(),
			clientv3.WithLimit(pageKeys),
			clientv3.WithRev(revision))
		cancel()
		switch {
		case errors.Is(err, rpctypes.ErrFutureRev):
			return nil, &contentError{fmt.Sprintf("etcd has no revision %d after the restore", revision)}
		case err != nil:
			return nil, fmt.Errorf("counting the keys at revision %d: %w", revision, err)
		}
		for _, kv := range resp.Kvs {
			counts[etcdsnapshot.PrefixOf(string(kv.Key))]++
		}
		if !resp.More || len(resp.Kvs) == 0 {
			return counts, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// contentError says that a restored snapshot is not what it should be.
type contentError struct{ problem string }

func (e *contentError) Error() string { return e.problem }

// Reason is SnapshotDamaged.
func (e *contentError) Reason() string { return "SnapshotDamaged" }

// Final is true: another try would find the same.
func (e *contentError) Final() bool { return true }
