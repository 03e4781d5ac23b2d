package connect

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// NewSSHRoutes returns how machines are reached by the settings. Private keys of bastions, also of those that clusters
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
