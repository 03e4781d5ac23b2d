package client

import (
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ReadKubeconfig reads a cluster's kubeconfig from its secrets, which needs the secrets key of the installation.
func (c *Client) ReadKubeconfig(ctx context.Context, ref api.Ref) ([]byte, error) {
	s, err := c.OpenSecretStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s: %w", ref.Name, err)
	}
	defer func() { _ = s.Close() }() // only read from
	return s.ReadSecret(ctx, ref, store.SecretKubeconfig)
}

// OpenSecretStore is a store that can read secrets, which needs the secrets key of the installation. It is the caller's
// to close.
func (c *Client) OpenSecretStore(ctx context.Context) (*store.Store, error) {
	key, err := connect.ReadSecretsKey(c.cfg)
	if err != nil {
		return nil, err
	}
	return c.openStore(ctx, key)
}

// OperationURL is the page of the Web UI that shows a cluster's latest operation; empty where no UI is known.
func (c *Client) OperationURL(cluster string) string {
	if c.cfg.UI.Address == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/cluster%%2F%s", c.cfg.UI.Address, c.cfg.Temporal.Namespace, cluster)
}
