package connect

import (
	"context"
	"net"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/gateway"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// NewMemberRoutes returns how skyctl reaches machines: through the gateway of a worker, if gateway.address is set.
func NewMemberRoutes(cfg *config.Config, s *store.Store) (remote.Routes, error) {
	routes := NewSSHRoutes(cfg, s)
	if cfg.Gateway.Address == "" {
		if cfg.IsExternal() && cfg.SSH.ProxyJump == (api.JumpHost{}) {
			routes.DirectAdvice = "if only the worker reaches machines, not this computer, set the address of the " +
				"worker's gateway with " + cfg.HowToSet("gateway.address")
		}
		return routes, nil
	}
	through, err := NewGatewayClient(cfg)
	if err != nil {
		return remote.Routes{}, err
	}
	routes.Gateway = func(ctx context.Context, t remote.Target) (net.Conn, error) {
		return through.DialMachine(ctx, t.Name, t.ClusterUID)
	}
	return routes, nil
}

// NewGatewayClient returns a client of the gateway at gateway.address.
func NewGatewayClient(cfg *config.Config) (gateway.Client, error) {
	tls, err := cfg.GatewayClientTLS()
	return gateway.Client{Address: cfg.Gateway.Address, TLS: tls}, err
}

// NewSSHRoutes returns how skyd reaches machines by the settings. Private keys of bastions, also of those that clusters
// name, are read from the store when they are needed.
func NewSSHRoutes(cfg *config.Config, s *store.Store) remote.Routes {
	return remote.Routes{
		Usual:    sshtarget.NewBastion(cfg.SSH.ProxyJump, cfg.SSH.ProxyJumpHostKey, cfg.SSH.ProxyJumpSecret),
		Networks: cfg.SSH.ProxyJumpNetworks,
		ReadKey: func(ctx context.Context, secret string) ([]byte, error) {
			values, err := s.ReadNamedSecret(ctx, secret)
			if err != nil {
				return nil, err
			}
			key, ok := values.Values[api.SecretKeySSHPrivateKey]
			if !ok {
				return nil, &store.SecretMissingError{Name: secret, Keys: []string{api.SecretKeySSHPrivateKey}}
			}
			return key, nil
		},
	}
}
