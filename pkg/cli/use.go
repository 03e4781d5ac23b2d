package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/kubeconfig"
)

func (a *app) newUseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Make a cluster the current context of your kubectl",
		Long: `Merges the kubeconfig of a cluster into yours ($KUBECONFIG or ~/.kube/config) as the context
skyctl-NAME, and makes it the current context. When the cluster is deleted, its entries are
removed, and the context that was current before is current again.

Nothing else in the file changes. The first merge keeps a copy of the file next to it
(config.before-skyctl).`,
		Example: `  skyctl use dev
  kubectl get nodes`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.runUse(cmd.Context(), args[0]) },
	}
}

func (a *app) runUse(ctx context.Context, name string) error {
	c, content, err := a.readKubeconfig(ctx, name)
	if err != nil {
		return err
	}
	done, err := a.mergeKubeconfig(ctx, c.Ref(), content, true)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.env.Out, "The current context is %s (%s).\n", kubeconfig.ContextName(name), done.Path)
	a.noteMerged(c, done)
	return nil
}
