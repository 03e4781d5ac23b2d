package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/store"
)

// damagedError comes after what could be read of a cluster.
type damagedError struct {
	name string
	why  *store.CorruptError
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("what etcd has of cluster %[1]s is damaged, and only a part of it can be shown: %[2]v; "+
		"sweeps leave it alone. "+
		"Restore etcd from a backup, or end its machines with: skyctl delete cluster %[1]s", e.name, e.why)
}

func (e *damagedError) Unwrap() error { return e.why }

// damageRemedies are what can be done about the damaged clusters that an error is about, where it does not say so
// itself.
func damageRemedies(err error) []string {
	if told := new(damagedError); errors.As(err, &told) {
		return nil
	}
	var lines []string
	for _, name := range store.CorruptClusterNames(err) {
		lines = append(lines, "Restore etcd from a backup, or end the machines of "+name+
			" with: skyctl delete cluster "+name)
	}
	return lines
}

// addDamagedClusters adds the clusters that can be read in part to those that were listed with err, by name.
func addDamagedClusters(ctx context.Context, s *store.Store, clusters []api.Cluster, err error) []api.Cluster {
	for _, name := range store.CorruptClusterNames(err) {
		c, _, salvaging := s.SalvageCluster(ctx, name)
		if salvaging != nil {
			continue // it is named in err all the same
		}
		render.MarkDamaged(c)
		clusters = append(clusters, *c)
	}
	slices.SortFunc(clusters, func(a, b api.Cluster) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	return clusters
}

// isTraceable says that what could be read of a damaged cluster leads to its machines: their UID, and a cloud to ask.
func isTraceable(c *api.Cluster) bool {
	cloud := c.Spec.Cloud
	if p := c.Status.Placement; p != nil {
		cloud += p.Cloud
	}
	for _, m := range c.Status.Machines {
		cloud += m.Placement.Cloud
	}
	return c.Metadata.UID != "" && cloud != ""
}

// explainDamage tells how a damaged cluster is deleted. Its error says why it can't be.
func (d *deleteOptions) explainDamage(c *api.Cluster, damage *store.CorruptError) error {
	name := c.Metadata.Name
	fmt.Fprintf(d.env.Err, "What etcd has of cluster %s is damaged: %s\n", name, printable.Line(damage.Error()))
	switch {
	case isTraceable(c):
		fmt.Fprintf(d.env.Err, "It is deleted by what can still be read: its UID %s, %s on record, and whatever its "+
			"cloud lists "+
			"under its labels.\n", c.Metadata.UID, render.FormatCount(len(c.Status.Machines), "machine"))
	case d.purge:
		fmt.Fprintln(d.env.Err, "It does not say where its machines run, and under which UID, so they are not ended "+
			"with it: "+
			"skyctl get orphans shows them once it is forgotten.")
	default:
		return &stateError{errors.New("it does not say where its machines run, and under which UID, so they can't " +
			"be told from " +
			"others: restore etcd from a backup, or give --purge, which forgets the object; its machines show in " +
			"skyctl get orphans then")}
	}
	return nil
}

// forgetDamagedCluster forgets an object of which nothing can be read that leads to its machines.
func (d *deleteOptions) forgetDamagedCluster(ctx context.Context, s *store.Store, name string) error {
	if err := s.RenewCloudUse(ctx, d.env.Now()); err != nil {
		return err
	}
	if err := s.ForgetDamagedCluster(ctx, name); err != nil {
		return err
	}
	if err := kubefile.RemoveEntries(d.cfg.KubeconfigPath(name), name); err != nil {
		return err
	}
	_, err := fmt.Fprintf(d.env.Out, "Cluster %s is forgotten. Machines that it may have had belong to no cluster "+
		"now: see skyctl get orphans\n", name)
	return err
}
