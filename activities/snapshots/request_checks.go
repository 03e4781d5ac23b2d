package snapshots

import (
	"context"
	"errors"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// requestScheduledChecks requests the verifications that the schedules of clusters want now, and reports whether there
// are any.
func (a *Activities) requestScheduledChecks(ctx context.Context, clusters []api.Cluster) (requested bool, err error) {
	for _, c := range clusters {
		if c.Spec.Snapshots.VerifyInterval() <= 0 {
			continue
		}
		all, err := a.Store.ListSnapshots(ctx, c.Metadata.UID)
		if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
			return requested, err
		}
		chosen := api.SnapshotToCheck(c.Spec.Snapshots, c.DropUndoneSnapshots(all), a.Now())
		if chosen == nil {
			continue
		}
		_, err = a.Store.UpdateSnapshot(ctx, c.Ref(), chosen.Name, func(s *api.Snapshot) error {
			s.RequestCheck(a.Now())
			return nil
		})
		if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
			continue // it was deleted meanwhile; the next one is due in a minute
		}
		if err != nil {
			return requested, err
		}
		requested = true
	}
	return requested, nil
}
