package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/store"
)

// partsView shows the parts of clusters that get pools and get machines list.
type partsView[T any] struct {
	title, kind string
	items       func([]api.Cluster) []T
	list        func([]T) any
	table       func([]api.Cluster) *render.Table
}

// showParts prints the parts of clusters that read returns. If single, they are one part, which was named.
func showParts[T any](ctx context.Context, a *app, output *outputFlags, view partsView[T],
	read func(context.Context, *store.Store) (found []api.Cluster, single bool, err error)) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	return a.runWithSpinner(view.title, output.isStructured(), func(s *terminal.Spinner) error {
		st, err := ops.ConnectStore(ctx)
		if err != nil {
			return err
		}
		clusters, single, wrong := read(ctx, st)
		if clusters == nil && wrong != nil {
			return wrong
		}
		items := view.items(clusters)
		order, err := sortedOrder(output, items)
		if err != nil {
			return err
		}
		s.KeepLine()
		switch {
		case !output.isStructured():
			table := view.table(clusters)
			table.ReorderRows(order)
			err = output.writeTable(a.env.Out, table)
		case single && len(items) == 1:
			err = output.writeKind(a.env.Out, view.kind, items[0])
		default:
			sorted := make([]T, 0, len(items))
			for _, i := range order {
				sorted = append(sorted, items[i])
			}
			err = output.write(a.env.Out, view.list(sorted))
		}
		return errors.Join(err, wrong)
	})
}

// readPartsOf reads the clusters of that name, or all if there is no name, with their machines. What it cannot read is
// its error.
func readPartsOf(ctx context.Context, s *store.Store, names []string) ([]api.Cluster, error) {
	if len(names) == 0 {
		clusters, err := s.ListClustersWithMachines(ctx)
		return clusters, err
	}
	return readNamedClusters(ctx, s, names)
}

// readMachinesNamed reads what the arguments of get machines name: clusters, and single machines.
func readMachinesNamed(ctx context.Context, s *store.Store, args []string) ([]api.Cluster, bool, error) {
	var found []api.Cluster
	var errs []error
	machines := 0
	for _, arg := range args {
		c, m, err := findMachineNamed(ctx, s, arg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if m == nil {
			clusters, err := readNamedClusters(ctx, s, []string{arg})
			found, errs = append(found, clusters...), append(errs, err)
			continue
		}
		machines++
		only := *c
		only.Status.Machines = []api.Machine{*m}
		found = append(found, only)
	}
	if len(args) == 0 {
		all, err := readPartsOf(ctx, s, nil)
		found, errs = all, append(errs, err)
	}
	return found, machines == 1 && len(args) == 1, errors.Join(errs...)
}

// findMachineNamed returns the machine that a name means, and its cluster; no machine if it is the name of a cluster.
func findMachineNamed(ctx context.Context, s *store.Store, name string) (*api.Cluster, *api.Machine, error) {
	of, _, isMachine := api.ParseMachineName(name)
	if !isMachine {
		return nil, nil, nil
	}
	c, _, err := s.SalvageCluster(ctx, of)
	missing := new(store.NotFoundError)
	if err != nil && !errors.As(err, &missing) {
		return nil, nil, err
	}
	if c != nil {
		if m := c.FindMachine(name); m != nil {
			return c, m, nil
		}
	}
	if _, _, err := s.SalvageCluster(ctx, name); err == nil {
		return nil, nil, nil
	}
	if c == nil {
		return nil, nil, &store.NotFoundError{Cluster: of}
	}
	return nil, nil, &store.NotFoundError{Cluster: of, What: "machine " + name}
}

// readPoolsNamed reads pools: those of that name in a cluster, or all of the clusters named.
func readPoolsNamed(ctx context.Context, s *store.Store, cluster string, args []string) ([]api.Cluster, bool, error) {
	if cluster == "" {
		found, err := readPartsOf(ctx, s, args)
		return found, false, err
	}
	found, err := readPartsOf(ctx, s, []string{cluster})
	if len(found) == 0 || len(args) == 0 {
		return found, false, err
	}
	errs := []error{err}
	for _, name := range args {
		if found[0].Spec.FindPool(name) == nil {
			errs = append(errs, newPoolMissingError(&found[0], name))
		}
	}
	only := found[0]
	only.Spec.Pools = slices.DeleteFunc(slices.Clone(only.Spec.Pools), func(p api.Pool) bool {
		return !slices.Contains(args, p.Name)
	})
	if len(only.Spec.Pools) == 0 {
		return nil, false, errors.Join(errs...)
	}
	return []api.Cluster{only}, len(args) == 1, errors.Join(errs...)
}

// checkPartNames refuses arguments that cannot be names of clusters, or twice the same.
func checkPartNames(args []string) error {
	var errs []error
	for i, name := range args {
		if slices.Contains(args[:i], name) {
			errs = append(errs, fmt.Errorf("%s is named twice", name))
			continue
		}
		errs = append(errs, api.ValidateStoredName(name))
	}
	if err := errors.Join(errs...); err != nil {
		return &usageError{err}
	}
	return nil
}
