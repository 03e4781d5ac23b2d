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

// damagedError is returned with the part of a cluster that could be read.
type damagedError struct {
	name string
	why  *store.CorruptError
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("the record of cluster %[1]s in etcd is damaged (%[2]v); only part of it is shown, and sweeps "+
		"do not change the cluster. Restore etcd from a backup, or terminate the machines with: skyctl delete "+
		"cluster %[1]s", e.name, e.why)
}

func (e *damagedError) Unwrap() error { return e.why }

// damageRemedies returns what to do about the damaged clusters that an error names, unless the error already contains
// it.
func damageRemedies(err error) []string {
	if told := new(damagedError); errors.As(err, &told) {
		return nil
	}
	var lines []string
	for _, name := range store.CorruptClusterNames(err) {
		lines = append(lines, "Restore etcd from a backup, or terminate the machines of "+name+
			" with: skyctl delete cluster "+name)
	}
	return lines
}

// addDamagedClusters adds the partly readable clusters that err names, and sorts all by name.
func addDamagedClusters(ctx context.Context, s *store.Store, clusters []api.Cluster, err error) []api.Cluster {
	for _, name := range store.CorruptClusterNames(err) {
		c, _, salvaging := s.SalvageCluster(ctx, name)
		if salvaging != nil {
			continue // err still names it
		}
		render.MarkDamaged(c)
		clusters = append(clusters, *c)
	}
	slices.SortFunc(clusters, func(a, b api.Cluster) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	return clusters
}

// isTraceable reports whether the readable part of a damaged cluster is enough to find its machines: its UID and a
// cloud.
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

// explainDamage prints how a damaged cluster is deleted. Its error says why it cannot be.
func (d *deleteOptions) explainDamage(c *api.Cluster, damage *store.CorruptError) error {
	name := c.Metadata.Name
	fmt.Fprintf(d.env.Err, "The record of cluster %s in etcd is damaged: %s\n", name, printable.Line(damage.Error()))
	switch {
	case isTraceable(c):
		fmt.Fprintf(d.env.Err, "skyctl deletes the cluster using what is still readable (UID %s, %s) and every "+
			"machine "+
			"that its cloud lists with the cluster's labels.\n", c.Metadata.UID,
			render.FormatCount(len(c.Status.Machines), "machine"))
	case d.purge:
		fmt.Fprintln(d.env.Err, "The record has no cloud or no UID, so skyctl cannot identify the cluster's machines "+
			"and does not terminate them. They appear in skyctl get orphans once the record is removed.")
	default:
		return &stateError{errors.New("the record has no cloud or no UID, so skyctl cannot identify the cluster's " +
			"machines. Restore etcd from a backup, or use --purge to remove the record; its machines then appear in " +
			"skyctl get orphans")}
	}
	return nil
}

// forgetDamagedCluster removes a record that is not enough to find the machines of the cluster.
func (d *deleteOptions) forgetDamagedCluster(ctx context.Context, s *store.Store, name string) error {
	if err := s.RenewCloudUse(ctx, d.env.Now()); err != nil {
		return err
	}
	if err := s.ForgetDamagedCluster(ctx, name); err != nil {
		return err
	}
	if err := d.removeLocalKubeconfig(ctx, name, true); err != nil {
		return err
	}
	if err := kubefile.RemoveEntries(d.cfg.KubeconfigPath(name), name); err != nil {
		return err
	}
	return errors.Join(d.writeDeleted(d.output, api.Kind, name), d.printResult("Removed the record of cluster %s. "+
		"If it had machines, they are orphans now: see skyctl get orphans\n", name))
}
