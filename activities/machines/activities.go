// Package machines has the activities that request machines from clouds, list them, and terminate them.
package machines

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities request machines from clouds and terminate them.
type Activities struct {
	Store     *store.Store
	Clouds    activities.Clouds
	Pool      *remote.Pool
	Deadlines activities.Deadlines
	Now       func() time.Time
	// RKE2 is the release that specs are checked against. It is the one that package record uses.
	RKE2 rke2.Source
	// Settings are those that this worker uses. CheckSpec reports them.
	Settings map[string]api.UsedSetting

	// lifetimeQueries lets machines of a cluster that are terminated at the same time share one query for their
	// lifetimes.
	lifetimeQueries singleflight.Group
	// poolRankings does the same for machines of a pool that look for another placement.
	poolRankings singleflight.Group
}

// readClusterAndCloud reads a cluster and finds its cloud and owner.
func (a *Activities) readClusterAndCloud(ctx context.Context, ref api.Ref) (*api.Cluster, cloud.Cloud, cloud.Owner,
	error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, nil, cloud.Owner{}, err
	}
	onCloud, owner, err := a.findCloudAndOwner(ctx, c)
	return c, onCloud, owner, err
}

func (a *Activities) findCloudAndOwner(ctx context.Context, c *api.Cluster) (cloud.Cloud, cloud.Owner, error) {
	onCloud, err := a.Clouds.FindCloud(c.CloudName())
	if err != nil {
		return nil, cloud.Owner{}, err
	}
	owner, err := a.readCloudOwner(ctx, c.Ref())
	return onCloud, owner, err
}

func (a *Activities) readCloudOwner(ctx context.Context, ref api.Ref) (cloud.Owner, error) {
	installation, err := a.Store.EnsureInstallationID(ctx)
	return cloud.Owner{Installation: installation, Cluster: ref.Name, ClusterUID: ref.UID}, err
}

// listClusterMachines lists a cluster's machines on its cloud. If one of several clouds does not answer, that is only
// an error if the cluster was ever on it.
func (a *Activities) listClusterMachines(ctx context.Context, c *api.Cluster, onCloud cloud.Cloud,
	owner cloud.Owner) ([]cloud.Machine, error) {
	queryCtx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	listed, err := cloud.ListVerified(queryCtx, onCloud, owner, activities.KnownOfCluster(c))
	if partial := new(cloud.PartialError); errors.As(err, &partial) &&
		!slices.ContainsFunc(c.CloudNames(), partial.LacksCloud) {
		return listed, nil
	}
	return listed, err
}

func (a *Activities) recordMachineGone(ctx context.Context, ref api.Ref, m api.Machine) error {
	_, err := a.Store.UpdateMachine(ctx, ref, m.Index, m.Incarnation, func(r *api.Machine) error {
		r.SetState(api.MachineGone, "", a.Now())
		return nil
	})
	return err
}
