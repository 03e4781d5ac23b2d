package operations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Kubeconfig reads a cluster's kubeconfig from its secrets, which needs the secrets key of the installation.
func (c *Client) Kubeconfig(ctx context.Context, ref api.Ref) ([]byte, error) {
	if _, err := os.Stat(c.cfg.SecretsKeyFile); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s: the secrets key %s is not there; copy it from the machine of the worker "+
			"(mode 0600), or name it as secretsKeyFile in %s", ref.Name, c.cfg.SecretsKeyFile, c.cfg.ConfigFile())
	}
	// The file is there, so this only reads it.
	key, err := store.LoadOrCreateKey(c.cfg.SecretsKeyFile)
	if err != nil {
		return nil, err
	}
	s, err := c.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // only read from
	return s.GetSecret(ctx, ref, store.SecretKubeconfig)
}

// OperationURL is the page of the Web UI that shows a cluster's latest operation; empty where no UI is known.
func (c *Client) OperationURL(cluster string) string {
	if c.cfg.UI.Address == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/cluster%%2F%s", c.cfg.UI.Address, c.cfg.Temporal.Namespace, cluster)
}
