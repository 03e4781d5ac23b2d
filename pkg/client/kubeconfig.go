package client

import (
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ReadKubeconfig reads the kubeconfig of a cluster. It needs the secrets key of the installation.
func (c *Client) ReadKubeconfig(ctx context.Context, ref api.Ref) ([]byte, error) {
	s, err := c.OpenSecretStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s: %w", ref.Name, err)
	}
	defer func() { _ = s.Close() }() // it was only read
	return s.ReadSecret(ctx, ref, store.SecretKubeconfig)
}

// OpenSecretStore opens a store that can read secrets. It needs the secrets key of the installation. The caller closes
// the store.
func (c *Client) OpenSecretStore(ctx context.Context) (*store.Store, error) {
	key, err := connect.ReadSecretsKey(c.cfg)
	if err != nil {
		return nil, err
	}
	return c.openStore(ctx, key)
}

// OperationURL is the address of the latest operation of a cluster in the Web UI; empty if there is no Web UI.
func (c *Client) OperationURL(cluster string) string {
	if c.cfg.UI.Address == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/cluster%%2F%s", c.cfg.UI.Address, c.cfg.Temporal.Namespace, cluster)
}
