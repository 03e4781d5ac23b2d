package activities

import (
	"context"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// knownOfCluster is what etcd knows of a cluster's machines, for a cloud that may have forgotten some of them. A launch
// that has not got as far as an id may have made nothing.
func knownOfCluster(c *api.Cluster) cloud.KnownMachines {
	known := cloud.KnownMachines{Clouds: c.CloudNames()}
	for _, m := range c.Status.Machines {
		if m.CloudID != "" && m.State != api.MachineGone {
			known.Machines = append(known.Machines,
				cloud.KnownMachine{Cloud: m.Placement.Cloud, Name: m.Name, Incarnation: m.Incarnation})
		}
	}
	return known
}

// knownOfOrphan is the same of an orphan.
func knownOfOrphan(o api.Orphan) cloud.KnownMachines {
	return cloud.KnownMachines{Clouds: []string{o.Cloud},
		Machines: []cloud.KnownMachine{{Cloud: o.Cloud, Name: o.Name}}}
}

// readKnownOfProvider is what etcd knows of a provider's machines: those of all clusters, the orphans, and the clouds
// that were in use lately.
func (a *Sweeps) readKnownOfProvider(ctx context.Context, provider string) (cloud.KnownMachines, error) {
	var known cloud.KnownMachines
	if _, ok := a.Clouds.cloudOfProvider(provider).(cloud.Broker); !ok {
		return known, nil
	}
	all, err := a.Store.ListClustersWithMachines(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return known, err
	}
	add := func(more cloud.KnownMachines) {
		known.Clouds, known.Machines = append(known.Clouds, more.Clouds...), append(known.Machines, more.Machines...)
	}
	for _, c := range all {
		add(knownOfCluster(&c))
	}
	orphans, err := a.Store.ListOrphans(ctx)
	if err != nil {
		return known, err
	}
	for _, o := range orphans {
		add(knownOfOrphan(o))
	}
	used, err := a.Store.ListUsedClouds(ctx, a.Now().Add(-cloudUseWindow))
	add(cloud.KnownMachines{Clouds: used})
	others := func(name string) bool { return name == "" || a.Clouds.providerName(name) != provider }
	known.Clouds = slices.DeleteFunc(known.Clouds, others)
	known.Machines = slices.DeleteFunc(known.Machines, func(m cloud.KnownMachine) bool { return others(m.Cloud) })
	return known, err
}
