package snapshots

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/vault"
)

// DeleteSnapshot removes a snapshot that is to be deleted from where it is kept and from its server, and then its
// record.
func (a *Activities) DeleteSnapshot(ctx context.Context, in Ref) error {
	err := a.deleteSnapshot(ctx, in)
	if err != nil {
		a.recordFailure(ctx, in, err)
	}
	return activities.StepError(ctx, "delete snapshot "+in.Name, "", err)
}

func (a *Activities) deleteSnapshot(ctx context.Context, in Ref) error {
	release, err := a.locks.Acquire(ctx, fileLock(in))
	if err != nil {
		return err
	}
	defer release()
	s, err := a.Store.ReadSnapshot(ctx, in.Cluster, in.Name)
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		return nil
	}
	if err != nil || s.State != api.SnapshotDeleting {
		return err
	}
	if isNeeded, err := a.keepIfNeeded(ctx, s); err != nil || isNeeded {
		return err
	}
	c, err := a.readIfThere(ctx, in.Cluster)
	if err != nil {
		return err
	}
	var asked []api.Cluster
	if c != nil {
		asked = append(asked, *c)
	}
	if err := a.Home.Confirm(ctx, asked...); err != nil {
		return err
	}
	if err := a.deleteFile(ctx, c, s); err != nil {
		return err
	}
	if err := a.deleteFromServer(ctx, c, s); err != nil {
		return err
	}
	if err := a.Store.ForgetSnapshot(ctx, in.Cluster, in.Name); err != nil {
		return err
	}
	if !s.IsAutomatic() {
		a.recordEvent(ctx, s, api.EventNormal, "SnapshotDeleted", "snapshot "+s.Name+" was deleted")
	}
	return nil
}

// readNeeded returns the snapshots that clusters need; see api.NeededSnapshots. It fails if one of them is unreadable,
// because that may need one.
func (a *Activities) readNeeded(ctx context.Context) (map[string]map[string]bool, error) {
	clusters, err := a.Store.ListClusters(ctx)
	if err != nil {
		return nil, err
	}
	return api.NeededSnapshots(clusters), nil
}

// readProtected returns the snapshots of a list that skyd does not remove by itself, and fails as readNeeded does; see
// api.ProtectedSnapshots.
func (a *Activities) readProtected(ctx context.Context, all []api.Snapshot) (map[string]map[string]bool, error) {
	clusters, err := a.Store.ListClusters(ctx)
	if err != nil {
		return nil, err
	}
	return api.ProtectedSnapshots(clusters, all), nil
}

// keepIfNeeded gives a kept snapshot up that is to be deleted, and reports whether it did not, because a restore or a
// stop was requested since then that needs it.
func (a *Activities) keepIfNeeded(ctx context.Context, s api.Snapshot) (bool, error) {
	needed, err := a.readNeeded(ctx)
	if err != nil || !needed[s.ClusterUID][s.Name] || s.Place == "" {
		return false, err
	}
	_, err = a.Store.UpdateSnapshot(ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.State, s.Failure, s.FailedAt = api.SnapshotKept, "", time.Time{}
		return nil
	})
	if err == nil {
		a.recordEvent(ctx, s, api.EventWarning, "SnapshotNeeded", "snapshot "+s.Name+" is not deleted: a restore or "+
			"a stop that was requested meanwhile needs it")
	}
	return true, err
}

// readIfThere reads a cluster; nil if it is gone.
func (a *Activities) readIfThere(ctx context.Context, ref api.Ref) (*api.Cluster, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if gone := new(store.NotFoundError); errors.As(err, &gone) {
		return nil, nil
	}
	return c, err
}

// deleteFile removes a snapshot from its vault. One that is not recorded there may have left a file, if the process was
// killed before it recorded it.
func (a *Activities) deleteFile(ctx context.Context, c *api.Cluster, s api.Snapshot) error {
	if s.Place == "" && c != nil {
		_, v, err := a.Files.VaultFor(ctx, c)
		if err == nil {
			err = v.Delete(ctx, activities.SnapshotObject(s.Ref(), s.Name))
		}
		if err != nil && activity.IsActivity(ctx) {
			activity.GetLogger(ctx).Info("looking for the file of a snapshot that was never kept", "error", err)
		}
		return ctx.Err()
	}
	if s.Place == "" {
		return nil
	}
	v, err := a.Files.VaultOf(ctx, s)
	if err != nil {
		return err
	}
	return v.Delete(ctx, s.Object)
}

// deleteFromServer removes a snapshot from the machine that took it, if that is still the cluster's server.
func (a *Activities) deleteFromServer(ctx context.Context, c *api.Cluster, s api.Snapshot) error {
	if c == nil || !s.OnMachine {
		return nil
	}
	head, err := c.Head()
	if err != nil || head.Incarnation != s.Incarnation || !head.State.MayExist() ||
		c.Status.Phase == api.PhaseStopped || c.Status.Phase == api.PhaseDeleting {
		return nil //nolint:nilerr // the machine is gone, and what was on it
	}
	on, err := a.connectToHead(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return rke2.DeleteSnapshot(ctx, on.host, s.File)
}

// storageTimeout bounds what a delete of a cluster waits for one file of a snapshot.
const storageTimeout = 10 * time.Second

// DeleteClusterSnapshots deletes the scheduled snapshots of a cluster whose machines are gone. Those that a person
// asked for, or that another cluster is being restored from, stay. It does not wait for a storage that does not answer:
// what is left stays to be deleted, and ScheduleSnapshots starts that again.
func (a *Activities) DeleteClusterSnapshots(ctx context.Context, ref api.Ref) error {
	const step = "delete the scheduled snapshots"
	all, err := a.Store.ListSnapshots(ctx, ref.UID)
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		err = nil // their records are left for people
	}
	c, unread := a.readIfThere(ctx, ref)
	if corrupt := new(store.CorruptError); errors.As(unread, &corrupt) {
		unread = nil // a delete does not wait for that
	}
	err = cmp.Or(err, unread)
	var left error
	var needed map[string]map[string]bool
	if err == nil {
		needed, err = a.readNeeded(ctx)
	}
	if len(store.CorruptClusterNames(err)) > 0 {
		err = nil // a delete does not wait for that
	}
	for _, s := range all {
		if err != nil {
			break
		}
		if s, err = a.adoptStoragePolicy(ctx, c, s); err != nil || needed[ref.UID][s.Name] {
			continue
		}
		if s, err = a.markOfDeletedCluster(ctx, s); err != nil || s.State != api.SnapshotDeleting || left != nil {
			continue
		}
		if left = a.deleteFileInTime(ctx, s); left == nil {
			err = a.Store.ForgetSnapshot(ctx, ref, s.Name)
		}
	}
	if left != nil && activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Warn("snapshots of a deleted cluster are deleted later", "cluster", ref.Name, "error",
			left)
	}
	return activities.StepError(ctx, step, "", cmp.Or(err, ctx.Err()))
}

func (a *Activities) deleteFileInTime(ctx context.Context, s api.Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	return a.deleteFile(ctx, nil, s)
}

// adoptStoragePolicy records with a snapshot how its storage is reached now, unless that is recorded already.
func (a *Activities) adoptStoragePolicy(ctx context.Context, c *api.Cluster, s api.Snapshot) (api.Snapshot, error) {
	if adopted := s; !adopted.AdoptStoragePolicy(c) {
		return s, nil
	}
	now, err := a.Store.UpdateSnapshot(ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.AdoptStoragePolicy(c)
		return nil
	})
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		return s, nil
	}
	return now, err
}

// markOfDeletedCluster records what becomes of a snapshot whose cluster is deleted.
func (a *Activities) markOfDeletedCluster(ctx context.Context, s api.Snapshot) (api.Snapshot, error) {
	return a.Store.UpdateSnapshot(ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.OnMachine = false
		switch {
		case s.IsAutomatic():
			s.State = api.SnapshotDeleting
		case s.State == api.SnapshotWanted:
			s.State, s.Failure, s.FailedAt = api.SnapshotFailed, "the cluster was deleted", a.Now()
		case s.State == api.SnapshotTaken:
			s.State, s.Failure, s.FailedAt = api.SnapshotLost, "the cluster was deleted before it was kept off the "+
				"machine", a.Now()
		}
		return nil
	})
}

// makeRoom removes the oldest snapshots of all clusters that can be spared, if a new one has no room in skyd's
// directory. If that is not enough it removes none: the vault then says what is missing.
func (a *Activities) makeRoom(ctx context.Context, v vault.Vault, place string, bytes int64) error {
	if place != api.SnapshotPlaceSkyd {
		return nil
	}
	a.room.Lock()
	defer a.room.Unlock()
	missing, err := a.missingRoom(ctx, v, bytes)
	if err != nil || missing <= 0 {
		return err
	}
	all, err := a.Store.ListSnapshots(ctx, "")
	if err != nil {
		return err
	}
	needed, err := a.readProtected(ctx, all)
	if err != nil {
		return err
	}
	for _, s := range api.SnapshotsToFree(all, place, missing, needed) {
		if err := a.pruneNow(ctx, v, s, needed[s.ClusterUID]); err != nil {
			return err
		}
	}
	return nil
}

// missingRoom is how many bytes have to be removed before a snapshot of a size can be collected.
func (a *Activities) missingRoom(ctx context.Context, v vault.Vault, bytes int64) (int64, error) {
	files, err := v.List(ctx)
	if err != nil {
		return 0, err
	}
	sealed := bytes + bytes/1000 + 4096           // more than pkg/vault adds
	missing := sealed - int64(a.Files.QuotaBytes) //nolint:gosec // a number of GiB
	for _, f := range files {
		missing += f.Bytes
	}
	space, err := diskspace.ReadSpace(a.Files.Dir)
	if err != nil {
		return 0, err
	}
	return max(missing, sealed+bytes+activities.SpareBytes-int64(space.Free)), nil //nolint:gosec // smaller than 8 EiB
}

// pruneNow removes a scheduled snapshot. What its server has is left to the server's own retention.
func (a *Activities) pruneNow(ctx context.Context, v vault.Vault, s api.Snapshot, needed map[string]bool) error {
	marked, err := a.markPruned(ctx, s, needed)
	if err != nil || marked.State != api.SnapshotDeleting {
		return err
	}
	if err := v.Delete(ctx, s.Object); err != nil {
		return err
	}
	return a.Store.ForgetSnapshot(ctx, s.Ref(), s.Name)
}

// markPruned records that a snapshot is to be deleted, if that may be.
func (a *Activities) markPruned(ctx context.Context, s api.Snapshot, needed map[string]bool) (api.Snapshot, error) {
	marked, err := a.Store.UpdateSnapshot(ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		if s.MayPrune(needed) {
			s.State, s.FailedAt = api.SnapshotDeleting, time.Time{}
		}
		return nil
	})
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		err = nil
	}
	return marked, err
}
