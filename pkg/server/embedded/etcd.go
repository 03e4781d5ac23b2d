package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/pkg/config"
)

const (
	// etcdQuota is the database size at which etcd refuses writes. History is compacted long before.
	etcdQuota = 1 << 30

	// etcdKeptRevisions is how far back a watch may resume. etcd compacts every five minutes.
	etcdKeptRevisions = "10000"

	// etcdSnapshotEvery is how many writes etcd keeps in memory until it drops them. There is no second member that
	// would need them to catch up.
	etcdSnapshotEvery, etcdCatchUp = 1000, 100
)

// etcdName is the only member. It has no peers and does not listen for any: its peer URL is only a name.
const etcdName = "skyd"

var etcdPeerURL = url.URL{Scheme: "https", Host: "127.0.0.1:2380"}

func startEtcd(ctx context.Context, c *config.Config, dir string, log *slog.Logger,
	fatal fatalErrorHandler) (*embed.Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	e, err := embed.StartEtcd(etcdConfig(c, dir, newZapLogger(log, fatal)))
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case <-e.Server.StopNotify():
		err = errors.New("it stopped unexpectedly; its log has the reason")
	case err = <-e.Err():
	case <-ctx.Done():
		err = fmt.Errorf("it is not ready: %w", context.Cause(ctx))
	}
	e.Close()
	return nil, fmt.Errorf("starting etcd: %w", err)
}

func etcdConfig(c *config.Config, dir string, log *zap.Logger) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = etcdName, dir
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)

	client := url.URL{Scheme: "https", Host: config.LoopbackAddress(c.Dev.EtcdPort)}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ClientTLSInfo = transport.TLSInfo{
		CertFile: c.PKIFile("server.crt"), KeyFile: c.PKIFile("server.key"),
		TrustedCAFile: c.PKIFile("ca.crt"), ClientCertAuth: true,
	}
	cfg.PeerTLSInfo = cfg.ClientTLSInfo
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{etcdPeerURL}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	cfg.QuotaBackendBytes = etcdQuota
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModeRevision, etcdKeptRevisions
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = etcdSnapshotEvery, etcdCatchUp
	cfg.MaxSnapFiles, cfg.MaxWalFiles = 2, 2
	cfg.EnableGRPCGateway = false
	return cfg
}
