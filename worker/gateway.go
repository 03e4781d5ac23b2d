package worker

import (
	"fmt"
	"log/slog"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/gateway"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/version"
)

// serveGateway lets people reach machines through this worker until stop, if gateway.listen is set.
func serveGateway(cfg *config.Config, st *store.Store, pool *remote.Pool, log *slog.Logger) (stop func(), err error) {
	if cfg.Gateway.Listen == "" {
		return func() {}, nil
	}
	tls, err := cfg.GatewayServerTLS()
	if err != nil {
		return nil, fmt.Errorf("start the gateway at gateway.listen: %w", err)
	}
	server, err := gateway.Start(gateway.Options{Listen: cfg.Gateway.Listen, TLS: tls, ReadCluster: st.ReadClusterPart,
		Dial: pool.DialMachine, Version: version.ReadBuild().Version, Log: log})
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with %s", err, cfg.HowToSet("gateway.listen"))
	}
	log.Info("the gateway to machines listens", "address", server.Address())
	return func() { _ = server.Close() }, nil
}
