package connect

import (
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// NewBastion returns the bastion of the settings, whose private key it reads from the store when it is needed; nil if
// there is none.
func NewBastion(cfg *config.Config, s *store.Store) *remote.Bastion {
	jump := cfg.SSH.ProxyJump
	if jump.Host == "" {
		return nil
	}
	return &remote.Bastion{
		Target: remote.Target{Name: jump.String(), Address: jump.Host, Port: jump.Port, User: jump.User,
			HostKey: cfg.SSH.ProxyJumpHostKey},
		Networks: cfg.SSH.ProxyJumpNetworks,
		ReadKey: func(ctx context.Context) ([]byte, error) {
			values, err := s.ReadNamedSecret(ctx, cfg.SSH.ProxyJumpSecret)
			if err != nil {
				return nil, err
			}
			key, ok := values.Values[config.JumpSecretKey]
			if !ok {
				return nil, fmt.Errorf("secret %s has no key %s", cfg.SSH.ProxyJumpSecret, config.JumpSecretKey)
			}
			return key, nil
		},
	}
}
