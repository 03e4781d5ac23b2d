package snapshots

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// WantInput says which snapshot an operation needs.
type WantInput struct {
	Ref
	Reason  api.SnapshotReason `json:"reason"`
	AskedAt time.Time          `json:"asked_at"`
}

// WantSnapshot records that an operation needs a snapshot. The operation takes and collects it.
func (a *Activities) WantSnapshot(ctx context.Context, in WantInput) error {
	err := a.Store.CreateSnapshot(ctx, api.Snapshot{Name: in.Name, Cluster: in.Cluster.Name,
		ClusterUID: in.Cluster.UID, Reason: in.Reason, State: api.SnapshotWanted, AskedAt: in.AskedAt})
	if exists := new(store.SnapshotExistsError); errors.As(err, &exists) {
		s, unread := a.Store.ReadSnapshot(ctx, in.Cluster, in.Name)
		if unread == nil && s.AskedAt.Equal(in.AskedAt) {
			err = nil // by an earlier try; else by an operation of the same second, which may have given it up
		}
	}
	return activities.StepError(ctx, "request a snapshot", "", err)
}

// TakeSnapshot has the server take a snapshot that is wanted. It does nothing if that was done.
func (a *Activities) TakeSnapshot(ctx context.Context, in Ref) error {
	err := a.takeSnapshot(ctx, in)
	if err != nil {
		a.recordFailure(ctx, in, err)
	}
	return activities.StepError(ctx, "take snapshot "+in.Name, "", err)
}

// clockTolerance is how much earlier than its request a snapshot may seem to be taken: the clock is the machine's.
const clockTolerance = 2 * time.Minute

func (a *Activities) takeSnapshot(ctx context.Context, in Ref) error {
	release, err := a.locks.Acquire(ctx, in.Cluster.UID)
	if err != nil {
		return err
	}
	defer release()
	wanted, err := a.Store.ReadSnapshot(ctx, in.Cluster, in.Name)
	if err != nil || wanted.State != api.SnapshotWanted {
		return err
	}
	on, err := a.connectToServer(ctx, in.Cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	files, err := rke2.ListSnapshots(ctx, on.host)
	if err != nil {
		return err
	}
	for _, f := range files { // an earlier try may have been cut off before it recorded what it took
		if f.RequestedName() == in.Name && f.TakenAt.After(wanted.AskedAt.Add(-clockTolerance)) {
			return a.recordTaken(ctx, on, in, f)
		}
	}
	activities.RecordHeartbeat(ctx, "taking snapshot "+in.Name)
	taken, err := rke2.SaveSnapshot(ctx, on.host, in.Name)
	if err != nil {
		return err
	}
	return a.recordTaken(ctx, on, in, taken)
}

func (a *Activities) recordTaken(ctx context.Context, on server, in Ref, f rke2.SnapshotFile) error {
	_, err := a.Store.UpdateSnapshot(ctx, in.Cluster, in.Name, func(s *api.Snapshot) error {
		if s.State != api.SnapshotWanted {
			return nil // to be deleted meanwhile
		}
		setTaken(s, on, f)
		return nil
	})
	return err
}

// setTaken records what a server has taken, and of which cluster.
func setTaken(s *api.Snapshot, on server, f rke2.SnapshotFile) {
	s.State, s.OnMachine, s.Failure, s.FailedAt = api.SnapshotTaken, true, "", time.Time{}
	s.Machine, s.Incarnation, s.NodeName = on.head.Name, on.head.Incarnation, on.head.NodeName
	s.File, s.TakenAt, s.Bytes = f.Name, f.TakenAt, f.Bytes
	s.Versions, s.Labels = on.cluster.Status.Versions, maps.Clone(on.cluster.Metadata.Labels)
	s.AuthorityUID = on.cluster.Authority()
	spec := on.cluster.Spec
	s.Spec = &spec
}

// FailSnapshot records that an operation gave a snapshot up, and says so in an event. One that was taken is deleted.
func (a *Activities) FailSnapshot(ctx context.Context, in Ref) error {
	s, err := a.Store.UpdateSnapshot(ctx, in.Cluster, in.Name, func(s *api.Snapshot) error {
		switch s.State {
		case api.SnapshotWanted:
			s.State = api.SnapshotFailed
		case api.SnapshotTaken:
			s.State, s.FailedAt = api.SnapshotDeleting, time.Time{}
		}
		return nil
	})
	if err == nil && s.State != api.SnapshotKept {
		a.announceFailed(ctx, s)
	}
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		err = nil
	}
	return activities.StepError(ctx, "give a snapshot up", "", err)
}
