package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) getCommand() *cobra.Command {
	return group("get", "Show clusters, what happened to them, or the kubeconfig of one", "Shows what you name.",
		"  skyctl get clusters\n  skyctl get events dev\n  skyctl get kubeconfig dev", a.getClusters(), a.getKubeconfig(), a.getEvents(), a.getOrphans())
}

func (a *app) getClusters() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "clusters [NAME]",
		Aliases: []string{"cluster"},
		Short:   "Show all clusters, or one",
		Long: `Shows all clusters, or the one you name. RESOURCES are available/total as Kubernetes sees
them: what is allocatable less what pods have requested, over the machines' capacity. STATUS
says (drifted) where the last sweep found something that is not as it was asked for, which
skyctl describe cluster shows, (unknown) where it could not see how the cluster is, and (paused)
where nothing is repaired for now.`,
		Example: `  skyctl get clusters
  skyctl get clusters -o wide
  skyctl get cluster dev -w
  skyctl get cluster dev -o json`,
		Args:              maybeName,
		ValidArgsFunction: a.completeNames,
	}
	g := &getting{app: a, output: outputFlag(cmd, asTable, asWide, asJSON, asYAML)}
	cmd.Flags().BoolVarP(&g.watch, "watch", "w", false, "go on and show what changes, until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			g.name = args[0]
		}
		return g.run(cmd.Context())
	}
	return cmd
}

// getting is one get clusters.
type getting struct {
	*app
	name   string
	watch  bool
	output *choice
}

func (g *getting) run(ctx context.Context) error {
	ops, err := g.connect(ctx)
	if err != nil {
		return err
	}
	if !g.watch {
		title := "Fetching clusters"
		return g.working(title, g.output.forMachines(), func(s *status) error {
			clusters, err := g.fetch(ctx, ops)
			if clusters == nil && err != nil {
				return err
			}
			s.pause()
			g.noteDoubt(ctx, ops)
			shown := g.print(clusters)
			if !g.output.forMachines() {
				g.noteStaleSweeps(ctx, ops, clusters)
			}
			return errors.Join(shown, err)
		})
	}
	s, err := ops.Store(ctx)
	if err != nil {
		return err
	}
	return g.follow(ctx, ops, s)
}

// fetch reads one cluster or all. What can't be understood comes as an error beside the good ones.
func (g *getting) fetch(ctx context.Context, ops *operations.Client) ([]api.Cluster, error) {
	s, err := ops.Store(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case g.name != "":
		c, damage, err := s.Salvage(ctx, g.name)
		if err != nil {
			return nil, err
		}
		if damage == nil {
			return []api.Cluster{*c}, nil
		}
		markDamaged(c)
		return []api.Cluster{*c}, &damagedError{name: g.name, why: damage}
	case g.output.value == asTable: // which shows little
		clusters, err := s.Overview(ctx)
		return withDamaged(ctx, s, clusters, err), err
	default:
		clusters, err := s.ListWithMachines(ctx)
		return withDamaged(ctx, s, clusters, err), err
	}
}

func (g *getting) print(clusters []api.Cluster) error {
	switch {
	case g.output.forMachines() && g.name != "":
		return encode(g.env.Out, g.output.value, clusters[0])
	case g.output.forMachines():
		return encode(g.env.Out, g.output.value, listOf(clusters))
	}
	_, err := io.WriteString(g.env.Out, clusterTable(clusters, g.output.value == asWide, g.env.Now()).String())
	return err
}

// follow prints what there is, then each row again that changes. Ctrl-C is its regular end, as is the end of the one cluster
// that it follows.
func (g *getting) follow(ctx context.Context, ops *operations.Client, s *store.Store) error {
	clusters, err := g.fetch(ctx, ops)
	switch {
	case err != nil && (clusters == nil || g.name != ""):
		return err
	case err != nil: // the others can be followed all the same
		fmt.Fprintln(g.env.Err, "Warning:", clean(err.Error()))
	}
	events, err := s.Watch(ctx, g.name)
	if err != nil {
		return err
	}
	shown := map[string]string{}
	wide := g.output.value == asWide
	t := watchedTable(clusters, wide, g.env.Now())
	if !g.output.forMachines() {
		if _, err := io.WriteString(g.env.Out, t.String()); err != nil {
			return err
		}
		for i := range clusters {
			shown[clusters[i].Metadata.Name] = g.signature(&clusters[i], wide)
		}
	}
	for e := range events {
		c := e.Cluster
		if e.Type == store.Delete {
			c.Status.Phase = "DELETED"
		}
		if err := g.changed(t, shown, c, wide); err != nil {
			return err
		}
		if e.Type == store.Delete {
			delete(shown, c.Metadata.Name)
			if g.name != "" {
				return nil
			}
		}
	}
	return nil
}

// changed prints a cluster if it looks other than when it was printed last.
func (g *getting) changed(t *table, shown map[string]string, c *api.Cluster, wide bool) error {
	if g.output.forMachines() {
		if g.output.value == asYAML {
			fmt.Fprintln(g.env.Out, "---")
		}
		return encode(g.env.Out, g.output.value, c)
	}
	sign := g.signature(c, wide)
	if shown[c.Metadata.Name] == sign {
		return nil
	}
	shown[c.Metadata.Name] = sign
	_, err := io.WriteString(g.env.Out, t.next(clusterRow(c, wide, g.env.Now())...))
	return err
}

// signature is a row without what changes by itself as time goes by.
func (g *getting) signature(c *api.Cluster, wide bool) string {
	still := *c
	still.Status.Machines = nil
	row := clusterRow(&still, wide, c.Metadata.CreatedAt)
	return fmt.Sprint(row, nodesIf(wide, c))
}

func nodesIf(wide bool, c *api.Cluster) string {
	if wide {
		return nodes(c)
	}
	return ""
}
