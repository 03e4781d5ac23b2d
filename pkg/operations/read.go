package operations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
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

// WriteKubeconfig puts a kubeconfig where a person's kubectl finds it, whole or not at all and for that person alone, and
// returns the file's name.
func (c *Client) WriteKubeconfig(cluster string, content []byte) (string, error) {
	name := c.cfg.KubeconfigPath(cluster)
	if err := writeAtomically(name, content); err != nil {
		return "", fmt.Errorf("writing the kubeconfig of cluster %s: %w", cluster, err)
	}
	return name, nil
}

// RemoveLocal removes this person's files of a cluster. The worker does it where it runs as that person.
func (c *Client) RemoveLocal(cluster string) error {
	if !c.cfg.External() {
		return nil
	}
	if err := os.RemoveAll(c.cfg.ClusterDir(cluster)); err != nil {
		return fmt.Errorf("removing the local files of cluster %s: %w", cluster, err)
	}
	return nil
}

func writeAtomically(name string, content []byte) error {
	if err := config.MakeDir(filepath.Dir(name)); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".kubeconfig-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// OperationURL is the page of the Web UI that shows a cluster's latest operation; empty where no UI is known.
func (c *Client) OperationURL(cluster string) string {
	if c.cfg.UI.Address == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/cluster%%2F%s", c.cfg.UI.Address, c.cfg.Temporal.Namespace, cluster)
}
