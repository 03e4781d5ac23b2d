package nodes

import (
	"context"
	"errors"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// raiseRevisionBy is what a restore adds to the highest revision that the cluster's etcd is known to have had. No
// cluster makes so many changes between a snapshot and its restore, so no client that was connected before knows a
// revision that etcd does not have. It is what etcd advises for Kubernetes:
// https://etcd.io/docs/v3.6/op-guide/recovery/
const raiseRevisionBy = 1_000_000_000

// reserveRevision returns the revision that the cluster's etcd has once it is restored from a snapshot, and records it.
// It is above those of all earlier restores: the snapshot may be older than the last one.
func (a *Activities) reserveRevision(ctx context.Context, cluster api.Ref, from api.Snapshot) (int64, error) {
	known, err := a.Store.ListSnapshots(ctx, cluster.UID)
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return 0, err
	}
	highest := from.Revision
	for _, s := range known {
		highest = max(highest, s.Revision)
	}
	reserved := int64(0)
	_, err = a.Store.UpdateCluster(ctx, cluster, func(c *api.Cluster) error {
		reserved = max(highest, c.Status.RestoredRevision) + raiseRevisionBy
		c.Status.RestoredRevision = reserved
		return nil
	})
	return reserved, err
}
