package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newGetKubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig NAME",
		Short: "Print the kubeconfig of a cluster",
		Long: `Prints the kubeconfig of a cluster, which etcd stores encrypted. If skyd runs on this computer, the
kubeconfig is also in ~/.skyconf/clusters/NAME/kubeconfig. To decrypt it you need the secrets key
of the installation: ~/.skyconf/secrets.key, or the file that secretsKeyFile names.`,
		Example: `  (umask 077; skyctl get kubeconfig dev > dev.kubeconfig)
  kubectl --kubeconfig dev.kubeconfig get nodes`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runGetKubeconfig(cmd.Context(), args[0])
		},
	}
}

func (a *app) runGetKubeconfig(ctx context.Context, name string) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	c, _, err := s.SalvageCluster(ctx, name) // the kubeconfig of a damaged cluster is still useful
	if err != nil {
		return err
	}
	content, err := ops.ReadKubeconfig(ctx, c.Ref())
	var none *store.NotFoundError
	if errors.As(err, &none) {
		return &stateError{fmt.Errorf("cluster %s has no kubeconfig yet: it is %s; see skyctl describe cluster %s",
			name, c.Status.Phase, name)}
	}
	if err != nil {
		return err
	}
	_, err = a.env.Out.Write(content)
	return err
}

// ensureLocalKubeconfig returns the path of the kubeconfig. skyd dev writes the file itself; with external servers this
// function writes it.
func (a *app) ensureLocalKubeconfig(ctx context.Context, ops *client.Client, ref api.Ref) (string, error) {
	path := a.cfg.KubeconfigPath(ref.Name)
	if !a.cfg.IsExternal() {
		return path, nil
	}
	content, err := ops.ReadKubeconfig(ctx, ref)
	if err == nil {
		err = kubefile.WriteEntries(path, content)
	}
	if err != nil {
		return "", fmt.Errorf("cluster %s is READY, but: %w", ref.Name, err)
	}
	return path, nil
}

// removeLocalKubeconfig removes the file that ensureLocalKubeconfig wrote.
func (a *app) removeLocalKubeconfig(cluster string) error {
	if !a.cfg.IsExternal() {
		return nil
	}
	return kubefile.RemoveEntries(a.cfg.KubeconfigPath(cluster), cluster)
}
