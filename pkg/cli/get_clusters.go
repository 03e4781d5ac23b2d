package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newGetCommand() *cobra.Command {
	return newCommandGroup("get", "Show clusters, pools, machines, snapshots, events, orphans, secrets, or a "+
		"kubeconfig",
		"Shows clusters, snapshots, events, orphans, secrets, or the pools, machines or kubeconfig of a cluster.",
		"  skyctl get clusters\n  skyctl get pools dev\n  skyctl get machines dev\n  skyctl get events dev\n"+
			"  skyctl get snapshots\n  skyctl get kubeconfig dev",
		a.newGetClustersCommand(), a.newGetPoolsCommand(), a.newGetMachinesCommand(), a.newGetSnapshotsCommand(),
		a.newGetKubeconfigCommand(), a.newGetEventsCommand(), a.newGetOrphansCommand(), a.newGetSecretsCommand())
}

func (a *app) newGetClustersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "clusters [NAME...]",
		Aliases: listAliases("clusters"),
		Short:   "List all clusters, or show some",
		Long: `Lists all clusters, or shows those you name.

RESOURCES are available/total as Kubernetes reports them: allocatable minus the requests of pods,
over the capacity of the machines. 1 GB there is 1 GiB (1024 MiB).

STATUS adds what is under way, such as (adding 2, removing 1) or (restoring from NAME); else (drifted)
if the last sweep found drift, which skyctl describe cluster shows. It adds (unknown) if the last
sweep could not determine the state of the cluster, and (paused) if repairs are paused. A cluster
that is STOPPED has no machines and costs nothing; skyctl start cluster brings it back.

With -w, rows of a cluster that is being created say how far that is, and how long it still takes if
clusters were created on its cloud before.

-o yaml prints whole clusters. --export prints what skyctl apply needs only: no status, and no field
that has its default. Several clusters become several documents.`,
		Example: `  skyctl get clusters
  skyctl get clusters -o wide
  skyctl get cluster dev -w
  skyctl get clusters -l team=vision,env!=prod
  skyctl get cluster dev --export > dev.yaml
  skyctl get cluster dev -o json`,
		Args:              allowClusterNames,
		ValidArgsFunction: a.completeMoreClusterNames,
	}
	g := &getClustersOptions{app: a, output: addListOutputFlags(cmd)}
	g.selector = a.addSelectorFlag(cmd, "only clusters")
	cmd.Flags().BoolVarP(&g.watch, "watch", "w", false, "keep printing changes until Ctrl-C")
	cmd.Flags().BoolVar(&g.export, "export", false, "print only what skyctl apply needs, as YAML or with -o json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := g.selector.refuseWithNames(args); err != nil {
			return err
		}
		g.names = args
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
	names    []string
	selector *selectorValue
	watch    bool
	export   bool
	output   *outputFlags
}

// checkExport makes YAML the format of an export, and refuses the tables.
func (g *getClustersOptions) checkExport(formGiven bool) error {
	switch {
	case !g.export:
		return nil
	case g.watch:
		return usageErrorf("--export cannot be used with --watch")
	case !formGiven:
		g.output.request.Output = string(render.AsYAML)
		return g.output.prepare()
	case g.output.form() != render.AsYAML && g.output.form() != render.AsJSON:
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
			if wrong := sortObjects(g.output, clusters); wrong != nil {
				return wrong
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
	case len(g.names) > 0:
		return readNamedClusters(ctx, s, g.names)
	case g.output.form() == render.AsTable && g.output.sortBy == "" && !g.watch: // it needs no machines
		clusters, err := s.ListClusterSummaries(ctx)
		return g.selector.keepMatching(addDamagedClusters(ctx, s, clusters, err)), err
	default:
		clusters, err := s.ListClustersWithMachines(ctx)
		return g.selector.keepMatching(addDamagedClusters(ctx, s, clusters, err)), err
	}
}

// readNamedClusters reads clusters in the order of their names. Those that are missing or damaged are its error.
func readNamedClusters(ctx context.Context, s *store.Store, names []string) ([]api.Cluster, error) {
	var clusters []api.Cluster
	var errs []error
	for _, name := range names {
		c, damage, err := s.SalvageCluster(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if damage != nil {
			render.MarkDamaged(c)
			errs = append(errs, &damagedError{name: name, why: damage})
		}
		clusters = append(clusters, *c)
	}
	return clusters, errors.Join(errs...)
}

func (g *getClustersOptions) printClusters(clusters []api.Cluster) error {
	switch {
	case g.export:
		return writeClusterFiles(g.env.Out, g.output, clusters, len(g.names) != 1)
	case g.output.isStructured() && len(g.names) == 1:
		return g.output.write(g.env.Out, clusters[0])
	case g.output.isStructured():
		return g.output.write(g.env.Out, render.NewClusterList(clusters))
	}
	return g.output.writeTable(g.env.Out, render.NewClusterTable(clusters, g.output.isWide(), g.env.Now()))
}

// followClusters prints all rows, then each row again when it changes. It ends with Ctrl-C, or when the cluster that it
// follows is deleted. A cluster that the selector no longer matches is printed once more, with its new labels.
func (g *getClustersOptions) followClusters(ctx context.Context, ops *client.Client, s *store.Store) error {
	clusters, err := g.readClusters(ctx, ops)
	switch {
	case err != nil && (clusters == nil || len(g.names) > 0):
		return err
	case err != nil: // the others can still be followed
		fmt.Fprintln(g.env.Err, "Warning:", printable.Line(err.Error()))
	}
	only := "" // all are watched, unless one is named
	if len(g.names) == 1 {
		only = g.names[0]
	}
	events, err := s.WatchClusters(ctx, only)
	if err != nil {
		return err
	}
	shown := map[string]string{}
	wide := g.output.isWide()
	notes := g.newCreateNotes(ctx, ops)
	first := notes
	if !terminal.IsTerminal(g.env.Out) { // programs know this table
		first = nil
	}
	t := render.NewWatchTable(clusters, wide, g.env.Now(), first)
	if !g.output.isStructured() {
		if err := g.output.writeTable(g.env.Out, t); err != nil {
			return err
		}
		for i := range clusters {
			shown[clusters[i].Metadata.Name] = render.RowSignature(&clusters[i], wide)
		}
	}
	for e := range events {
		c := e.Cluster
		_, known := shown[c.Metadata.Name]
		isSelected := g.selector.matchesCluster(c) && (len(g.names) == 0 || slices.Contains(g.names, c.Metadata.Name))
		if !isSelected && !known {
			continue
		}
		if e.Type == store.ClusterDeleted {
			c.Status.Phase = render.PhaseDeleted
		}
		// The watch of all clusters sends no machines. Objects for programs never have some then, not only at times.
		_, creating := render.CreatePercent(c)
		if (creating || wide) && only == "" && !g.output.isStructured() {
			c.Status.Machines, _ = s.ListMachines(ctx, c.Metadata.UID)
		}
		if err := g.printIfChanged(t, shown, c, wide, notes); err != nil {
			return err
		}
		if e.Type == store.ClusterDeleted || !isSelected {
			delete(shown, c.Metadata.Name)
		}
		if e.Type == store.ClusterDeleted && only != "" {
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
func (g *getClustersOptions) printIfChanged(t *render.Table, shown map[string]string, c *api.Cluster, wide bool,
	notes func(*api.Cluster) []string) error {
	if g.output.isStructured() {
		shown[c.Metadata.Name] = ""
		return g.output.writeItem(g.env.Out, c)
	}
	sign := render.RowSignature(c, wide)
	if shown[c.Metadata.Name] == sign {
		return nil
	}
	shown[c.Metadata.Name] = sign
	return terminal.WriteNextRow(g.env.Out, t, render.ClusterRow(c, wide, g.env.Now(), notes(c)...))
}

// newCreateNotes returns what says how far the create of a cluster is. It asks once for each create how long it takes,
// as soon as its cloud is known.
func (g *getClustersOptions) newCreateNotes(ctx context.Context, ops *client.Client) func(*api.Cluster) []string {
	known := map[string]api.CreateEstimate{}
	return func(c *api.Cluster) []string {
		e, asked := known[c.Metadata.UID]
		if _, creating := render.CreatePercent(c); creating && !asked && c.CloudName() != "" {
			e, _ = ops.EstimateCreate(ctx, c) // without it there is only no time
			known[c.Metadata.UID] = e
		}
		return render.CreateNotes(c, e, g.env.Now())
	}
}
