package activities

import (
	"context"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// knownOf is what etcd knows of a cluster's machines, for a cloud that may have forgotten some of them. A launch that has not got
// as far as an id may have made nothing.
func knownOf(c *api.Cluster) cloud.Known {
	known := cloud.Known{Clouds: cloudsOf(c)}
	for _, m := range c.Status.Machines {
		if m.CloudID != "" && m.State != api.MachineGone {
			known.Machines = append(known.Machines, cloud.KnownMachine{Cloud: m.Placement.Cloud, Name: m.Name, Incarnation: m.Incarnation})
		}
	}
	return known
}

// knownOrphan is the same of an orphan.
func knownOrphan(o api.Orphan) cloud.Known {
	return cloud.Known{Clouds: []string{o.Cloud}, Machines: []cloud.KnownMachine{{Cloud: o.Cloud, Name: o.Name}}}
}

// knownAt is what etcd knows of a provider's machines: those of all clusters, the orphans, and the clouds that were in use lately.
func (a *Sweeps) knownAt(ctx context.Context, provider string) (cloud.Known, error) {
	var known cloud.Known
	if _, ok := a.Clouds.served(provider).(cloud.Broker); !ok {
		return known, nil
	}
	all, err := a.Store.ListWithMachines(ctx)
	if err != nil && len(store.CorruptClusters(err)) == 0 {
		return known, err
	}
	add := func(more cloud.Known) {
		known.Clouds, known.Machines = append(known.Clouds, more.Clouds...), append(known.Machines, more.Machines...)
	}
	for _, c := range all {
		add(knownOf(&c))
	}
	orphans, err := a.Store.Orphans(ctx)
	if err != nil {
		return known, err
	}
	for _, o := range orphans {
		add(knownOrphan(o))
	}
	used, err := a.Store.CloudsUsed(ctx, a.Now().Add(-cloudsUsedWithin))
	add(cloud.Known{Clouds: used})
	others := func(name string) bool { return name == "" || a.Clouds.provider(name) != provider }
	known.Clouds = slices.DeleteFunc(known.Clouds, others)
	known.Machines = slices.DeleteFunc(known.Machines, func(m cloud.KnownMachine) bool { return others(m.Cloud) })
	return known, err
}
