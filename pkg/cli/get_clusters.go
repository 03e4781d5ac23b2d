package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newGetCommand() *cobra.Command {
	return newCommandGroup("get", "Show clusters, pools, machines, events, orphans, secrets, or a kubeconfig",
		"Shows clusters, events, orphans, secrets, or the pools, machines or kubeconfig of a cluster.",
		"  skyctl get clusters\n  skyctl get pools dev\n  skyctl get machines dev\n  skyctl get events dev\n"+
			"  skyctl get kubeconfig dev",
		a.newGetClustersCommand(), a.newGetPoolsCommand(), a.newGetMachinesCommand(), a.newGetKubeconfigCommand(),
		a.newGetEventsCommand(), a.newGetOrphansCommand(), a.newGetSecretsCommand())
}

func (a *app) newGetClustersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "clusters [NAME]",
		Aliases: []string{"cluster"},
		Short:   "List all clusters, or show one",
		Long: `Lists all clusters, or shows the one you name.

RESOURCES are available/total as Kubernetes reports them: allocatable minus the requests of pods,
over the capacity of the machines. 1 GB there is 1 GiB (1024 MiB).

STATUS adds what is under way, such as (adding 2, removing 1); else (drifted) if the last sweep found
drift, which skyctl describe cluster shows. It adds (unknown) if the last sweep could not determine
the state of the cluster, and (paused) if repairs are paused.

-o yaml prints whole clusters. --export prints what skyctl apply needs only: no status, and no field
that has its default. Several clusters become several documents.`,
		Example: `  skyctl get clusters
  skyctl get clusters -o wide
  skyctl get cluster dev -w
  skyctl get clusters -l team=vision,env!=prod
  skyctl get cluster dev --export > dev.yaml
  skyctl get cluster dev -o json`,
		Args:              allowClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	g := &getClustersOptions{app: a, output: addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON,
		render.AsYAML)}
	g.selector = addSelectorFlag(cmd, "only clusters")
	cmd.Flags().BoolVarP(&g.watch, "watch", "w", false, "keep printing changes until Ctrl-C")
	cmd.Flags().BoolVar(&g.export, "export", false, "print only what skyctl apply needs, as YAML or with -o json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := g.selector.refuseWithNames(args); err != nil {
			return err
		}
		g.name = firstOrEmpty(args)
		if err := g.checkExport(cmd.Flags().Changed("output")); err != nil {
			return err
		}
		return g.run(cmd.Context())
	}
	return cmd
}

// getClustersOptions is one run of get clusters.
type getClustersOptions struct {
	*app
	name     string
	selector *selectorValue
	watch    bool
	export   bool
	output   *enumValue
}

// checkExport makes YAML the format of an export, and refuses the tables.
func (g *getClustersOptions) checkExport(formGiven bool) error {
	switch {
	case !g.export:
		return nil
	case g.watch:
		return usageErrorf("--export cannot be used with --watch")
	case !formGiven:
		return g.output.Set(string(render.AsYAML))
	case !g.output.isStructured():
		return usageErrorf("--export needs -o yaml or -o json, not -o %s", g.output.form())
	}
	return nil
}

func (g *getClustersOptions) run(ctx context.Context) error {
	ops, err := g.connectClient(ctx)
	if err != nil {
		return err
	}
	if !g.watch {
		title := "Fetching clusters"
		return g.runWithSpinner(title, g.output.isStructured(), func(s *terminal.Spinner) error {
			clusters, err := g.readClusters(ctx, ops)
			if clusters == nil && err != nil {
				return err
			}
			s.KeepLine()
			g.warnHomeDoubt(ctx, ops)
			shown := g.printClusters(clusters)
			if len(clusters) == 0 && g.selector.isSet() {
				g.printNothingMatches(g.selector)
			}
			if !g.output.isStructured() {
				g.noteStaleSweeps(ctx, ops, clusters)
			}
			return errors.Join(shown, err)
		})
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	return g.followClusters(ctx, ops, s)
}

// readClusters reads one cluster, or all that are selected. Unreadable clusters are returned as an error together with
// the others.
func (g *getClustersOptions) readClusters(ctx context.Context, ops *client.Client) ([]api.Cluster, error) {
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case g.name != "":
		c, damage, err := s.SalvageCluster(ctx, g.name)
		if err != nil {
			return nil, err
		}
		if damage == nil {
			return []api.Cluster{*c}, nil
		}
		render.MarkDamaged(c)
		return []api.Cluster{*c}, &damagedError{name: g.name, why: damage}
	case g.output.form() == render.AsTable: // it needs no machines
		clusters, err := s.ListClusterSummaries(ctx)
		return g.selector.keepMatching(addDamagedClusters(ctx, s, clusters, err)), err
	default:
		clusters, err := s.ListClustersWithMachines(ctx)
		return g.selector.keepMatching(addDamagedClusters(ctx, s, clusters, err)), err
	}
}

func (g *getClustersOptions) printClusters(clusters []api.Cluster) error {
	switch {
	case g.export:
		return writeClusterFiles(g.env.Out, g.output.form(), clusters, g.name == "")
	case g.output.isStructured() && g.name != "":
		return render.WriteStructured(g.env.Out, g.output.form(), clusters[0])
	case g.output.isStructured():
		return render.WriteStructured(g.env.Out, g.output.form(), render.NewClusterList(clusters))
	}
	_, err := io.WriteString(g.env.Out, render.NewClusterTable(clusters, g.output.form() == render.AsWide,
		g.env.Now()).String())
	return err
}

// followClusters prints all rows, then each row again when it changes. It ends with Ctrl-C, or when the cluster that it
// follows is deleted. A cluster that the selector no longer matches is printed once more, with its new labels.
func (g *getClustersOptions) followClusters(ctx context.Context, ops *client.Client, s *store.Store) error {
	clusters, err := g.readClusters(ctx, ops)
	switch {
	case err != nil && (clusters == nil || g.name != ""):
		return err
	case err != nil: // the others can still be followed
		fmt.Fprintln(g.env.Err, "Warning:", printable.Line(err.Error()))
	}
	events, err := s.WatchClusters(ctx, g.name)
	if err != nil {
		return err
	}
	shown := map[string]string{}
	wide := g.output.form() == render.AsWide
	t := render.NewWatchTable(clusters, wide, g.env.Now())
	if !g.output.isStructured() {
		if _, err := io.WriteString(g.env.Out, t.String()); err != nil {
			return err
		}
		for i := range clusters {
			shown[clusters[i].Metadata.Name] = render.RowSignature(&clusters[i], wide)
		}
	}
	for e := range events {
		c := e.Cluster
		_, known := shown[c.Metadata.Name]
		isSelected := g.selector.matchesCluster(c)
		if !isSelected && !known {
			continue
		}
		if e.Type == store.ClusterDeleted {
			c.Status.Phase = "DELETED"
		}
		if err := g.printIfChanged(t, shown, c, wide); err != nil {
			return err
		}
		if e.Type == store.ClusterDeleted || !isSelected {
			delete(shown, c.Metadata.Name)
		}
		if e.Type == store.ClusterDeleted && g.name != "" {
			return nil
		}
	}
	return endWatch(ctx)
}

// endWatch returns the error with which a watch ends after Ctrl-C. Nothing is printed, because that is how a person
// ends it.
func endWatch(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &reportedError{ctx.Err()}
}

// printIfChanged prints a cluster if its row has changed since it was last printed.
func (g *getClustersOptions) printIfChanged(t *render.Table, shown map[string]string, c *api.Cluster, wide bool) error {
	if g.output.isStructured() {
		shown[c.Metadata.Name] = ""
		return render.WriteStructuredItem(g.env.Out, g.output.form(), c)
	}
	sign := render.RowSignature(c, wide)
	if shown[c.Metadata.Name] == sign {
		return nil
	}
	shown[c.Metadata.Name] = sign
	_, err := io.WriteString(g.env.Out, t.RenderNextRow(render.ClusterRow(c, wide, g.env.Now())...))
	return err
}
