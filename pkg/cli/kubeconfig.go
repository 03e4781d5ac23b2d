package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/kubeconfig"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newGetKubeconfigCommand() *cobra.Command {
	merge := false
	cmd := &cobra.Command{
		Use:   "kubeconfig NAME",
		Short: "Print the kubeconfig of a cluster, or merge it into yours",
		Long: `Prints the kubeconfig of a cluster, which etcd stores encrypted. If skyd runs on this computer, the
kubeconfig is also in ~/.skyconf/clusters/NAME/kubeconfig. To decrypt it you need the secrets key
of the installation: ~/.skyconf/secrets.key, or the file that secretsKeyFile names.

--merge puts it into your own kubeconfig instead ($KUBECONFIG or ~/.kube/config) as the context
skyctl-NAME. Nothing else in the file changes, and the entries are removed with the cluster. If you
use SkyPilot on this computer, it may use the context too. skyctl use NAME also makes it the current
context.`,
		Example: `  (umask 077; skyctl get kubeconfig dev > dev.kubeconfig)
  kubectl --kubeconfig dev.kubeconfig get nodes

  skyctl get kubeconfig dev --merge
  kubectl --context skyctl-dev get nodes`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runGetKubeconfig(cmd.Context(), args[0], merge)
		},
	}
	cmd.Flags().BoolVar(&merge, "merge", false, "merge it into your own kubeconfig as the context skyctl-NAME")
	return cmd
}

func (a *app) runGetKubeconfig(ctx context.Context, name string, merge bool) error {
	c, content, err := a.readKubeconfig(ctx, name)
	if err != nil {
		return err
	}
	if !merge {
		_, err = terminal.WithoutRewrite(a.env.Out).Write(content)
		return err
	}
	done, err := a.mergeKubeconfig(ctx, c.Ref(), content, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.env.Out, "Merged cluster %s into %s as context %s.\n", name, done.Path,
		kubeconfig.ContextName(name))
	a.noteMerged(c, done)
	return nil
}

// readKubeconfig reads a cluster and its kubeconfig from etcd.
func (a *app) readKubeconfig(ctx context.Context, name string) (*api.Cluster, []byte, error) {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, _, err := s.SalvageCluster(ctx, name) // the kubeconfig of a damaged cluster is still useful
	if err != nil {
		return nil, nil, err
	}
	content, err := ops.ReadKubeconfig(ctx, c.Ref())
	var none *store.NotFoundError
	if errors.As(err, &none) {
		err = &stateError{fmt.Errorf("cluster %s has no kubeconfig yet: it is %s; see skyctl describe cluster %s",
			name, c.Status.Phase, name)}
	}
	return c, content, err
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

// writeLocalKubeconfig writes the kubeconfig of a cluster, and renews its entries in the person's own kubeconfig.
func (a *app) writeLocalKubeconfig(ctx context.Context, ref api.Ref, content []byte) error {
	if err := kubefile.WriteEntries(a.cfg.KubeconfigPath(ref.Name), content); err != nil {
		return err
	}
	return kubeconfig.Refresh(ctx, a.cfg.ClusterDir(ref.Name), ref.Name, ref.UID, content)
}

// removeLocalKubeconfig removes the file that ensureLocalKubeconfig wrote, and the entries in the person's own
// kubeconfig. With skyd dev it removes only those that skyd could not remove, being another user.
func (a *app) removeLocalKubeconfig(ctx context.Context, cluster string, gone bool) error {
	if !a.cfg.IsExternal() && !gone {
		return nil
	}
	if err := kubeconfig.RemoveMerged(ctx, a.cfg.ClusterDir(cluster), cluster); err != nil {
		a.printNote(fmt.Sprintf("context %s stays in your kubeconfig: %s", kubeconfig.ContextName(cluster), err))
	}
	if !a.cfg.IsExternal() {
		return nil
	}
	return kubefile.RemoveEntries(a.cfg.KubeconfigPath(cluster), cluster)
}
