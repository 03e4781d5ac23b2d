package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// providerListing has the machines of this installation on one provider, by cluster UID.
type providerListing struct {
	machines map[string][]cloud.Machine
	err      error // may be the error of some of its clouds only
}

// errorForCluster returns why a listing says nothing about a cluster's machines; nil if it does. If the state of all of
// them is unknown, it says nothing.
func (l providerListing) errorForCluster(c *api.Cluster) error {
	err := l.err
	if partial := new(cloud.PartialError); errors.As(err, &partial) {
		err = partial.Clouds[c.CloudName()]
	}
	machines := l.machines[c.Metadata.UID]
	certain := func(m cloud.Machine) bool { return m.State != cloud.StateUnknown }
	if err == nil && len(machines) > 0 && !slices.ContainsFunc(machines, certain) {
		err = fmt.Errorf("%s did not report the state of any machine", c.CloudName())
	}
	return err
}

// providerListings are listings by provider.
type providerListings map[string]providerListing

// forCluster returns the listing of the cluster's provider. A provider that was not listed gets an error, not an empty
// listing.
func (l providerListings) forCluster(clouds activities.Clouds, c *api.Cluster) providerListing {
	provider := clouds.ProviderName(c.CloudName())
	if found, asked := l[provider]; asked {
		return found
	}
	return providerListing{err: fmt.Errorf("%s was not queried for its machines", provider)}
}

// groupByProvider groups clusters by the provider of their machines. Under "" are clusters with a running operation,
// whose machines are not listed.
func (a *Activities) groupByProvider(ctx context.Context, names []string) (map[string][]string, error) {
	all, err := a.Store.ListClusters(ctx)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	provider := map[string]string{}
	for _, c := range all {
		if !c.Status.Phase.IsBusy() {
			provider[c.Metadata.Name] = a.Clouds.ProviderName(c.CloudName())
		}
	}
	groups := map[string][]string{}
	for _, n := range names {
		groups[provider[n]] = append(groups[provider[n]], n)
	}
	return groups, nil
}

// listProviderShared lists a provider's machines; concurrent batches of a sweep share the result. Call it before the
// clusters are read: a machine is recorded before its launch, so a listed machine without a record will not get one.
func (a *Activities) listProviderShared(ctx context.Context, provider string) (providerListings, error) {
	if provider == "" {
		return providerListings{}, nil
	}
	// Not bound to the first caller's context: others share the result. listProvider has a timeout.
	query := a.providerQueries.DoChan(provider, func() (any, error) {
		return a.listProviders(context.WithoutCancel(ctx), []string{provider})
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case answer := <-query:
		if answer.Err != nil {
			return nil, answer.Err
		}
		return answer.Val.(providerListings), nil
	}
}

// listProviders lists the installation's machines on several providers at the same time.
func (a *Activities) listProviders(ctx context.Context, providers []string) (providerListings, error) {
	installation, err := a.Store.EnsureInstallationID(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]providerListing, len(providers))
	var group sync.WaitGroup
	for i, p := range providers {
		group.Go(func() { found[i] = a.listProvider(ctx, p, installation) })
	}
	group.Wait()
	all := providerListings{}
	for i, p := range providers {
		all[p] = found[i]
	}
	return all, ctx.Err()
}

func (a *Activities) listProvider(ctx context.Context, provider, installation string) providerListing {
	onCloud := a.Clouds.CloudOfProvider(provider)
	if onCloud == nil {
		return providerListing{err: errors.New("no such cloud is configured on this worker")}
	}
	known, err := a.readKnownOfProvider(ctx, provider)
	if err != nil {
		return providerListing{err: fmt.Errorf("read which machines of %s are known: %w", provider, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	machines, err := cloud.ListVerified(ctx, onCloud, cloud.Owner{Installation: installation}, known)
	l := providerListing{machines: map[string][]cloud.Machine{}, err: err}
	for _, m := range machines {
		if m.Owner.Installation == installation {
			l.machines[m.Owner.ClusterUID] = append(l.machines[m.Owner.ClusterUID], m)
		}
	}
	return l
}

// readKnownOfProvider reads what etcd has about a provider's machines: those of all clusters, the orphans, and the
// clouds in recent use.
func (a *Activities) readKnownOfProvider(ctx context.Context, provider string) (cloud.KnownMachines, error) {
	var known cloud.KnownMachines
	if _, ok := a.Clouds.CloudOfProvider(provider).(cloud.Broker); !ok {
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
		add(activities.KnownOfCluster(&c))
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
	others := func(name string) bool { return name == "" || a.Clouds.ProviderName(name) != provider }
	known.Clouds = slices.DeleteFunc(known.Clouds, others)
	known.Machines = slices.DeleteFunc(known.Machines, func(m cloud.KnownMachine) bool { return others(m.Cloud) })
	return known, err
}
