package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

// SnapshotRequest is a request about a snapshot that is recorded in etcd.
type SnapshotRequest struct {
	Snapshot api.Snapshot
	// Changed is false if the same was already requested.
	Changed bool
	// Unstarted is why Temporal could not be told; nil if it was. The request is recorded, and skyd's schedule finds
	// it.
	Unstarted error
}

// ListSnapshots returns the snapshots of the clusters with a name, of which the last one can be deleted, or of all if
// it is empty. Records that cannot be read are left out, and named in the error that is returned with the others.
func (c *Client) ListSnapshots(ctx context.Context, cluster string) ([]api.Snapshot, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.ListSnapshots(ctx, "")
	if cluster != "" {
		all = slices.DeleteFunc(all, func(s api.Snapshot) bool { return s.Cluster != cluster })
	}
	return all, err
}

// FindSnapshot returns the snapshot with a name of the cluster with a name. Of several clusters that had the name, it
// takes the one that exists, then the newest. If there is none, the error is a *store.SnapshotMissingError.
func (c *Client) FindSnapshot(ctx context.Context, cluster, name string) (api.Snapshot, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return api.Snapshot{}, err
	}
	existing, err := s.ReadCluster(ctx, cluster)
	if err == nil {
		found, err := s.ReadSnapshot(ctx, existing.Ref(), name)
		if missing := new(store.SnapshotMissingError); err == nil || !errors.As(err, &missing) {
			return found, err
		}
	} else if !isClusterMissing(err) && len(store.CorruptClusterNames(err)) == 0 {
		return api.Snapshot{}, err
	}
	all, unreadable := c.ListSnapshots(ctx, cluster)
	all = slices.DeleteFunc(all, func(s api.Snapshot) bool { return s.Name != name })
	switch {
	case len(all) > 0:
		return slices.MaxFunc(all, func(a, b api.Snapshot) int { return a.Time().Compare(b.Time()) }), nil
	case unreadable != nil:
		return api.Snapshot{}, unreadable
	case existing == nil && isClusterMissing(err) && !c.hadSnapshots(ctx, cluster):
		return api.Snapshot{}, err
	}
	return api.Snapshot{}, &store.SnapshotMissingError{Cluster: cluster, Name: name}
}

// hadSnapshots reports whether a cluster with the name has left snapshots.
func (c *Client) hadSnapshots(ctx context.Context, cluster string) bool {
	all, _ := c.ListSnapshots(ctx, cluster) // unreadable ones count too, and are reported elsewhere
	return len(all) > 0
}

// CreateSnapshot records that a snapshot of a cluster is wanted, and tells skyd to take it. Without a name it gets one
// from the time. If the cluster has a snapshot with the name, the error is a *store.SnapshotExistsError; if it cannot
// take one now, a *api.RefusedError.
func (c *Client) CreateSnapshot(ctx context.Context, cluster, name string) (SnapshotRequest, error) {
	s, t, err := c.connectForRequest(ctx)
	if err != nil {
		return SnapshotRequest{}, err
	}
	cl, err := s.ReadCluster(ctx, cluster)
	if err != nil {
		return SnapshotRequest{}, err
	}
	wanted, err := cl.NewAskedSnapshot(name, c.now())
	if err != nil {
		return SnapshotRequest{}, err
	}
	for {
		err = c.retryStore(ctx, func() error { return s.CreateSnapshot(ctx, wanted) })
		taken := new(store.SnapshotExistsError)
		if !errors.As(err, &taken) {
			break
		}
		// An earlier try may have been recorded, although its answer was lost.
		if there, readErr := s.ReadSnapshot(ctx, wanted.Ref(), wanted.Name); readErr == nil &&
			there.AskedAt.Equal(wanted.AskedAt) {
			err = nil
			break
		}
		if name != "" || ctx.Err() != nil {
			return SnapshotRequest{}, err
		}
		wanted.AskedAt = wanted.AskedAt.Add(time.Second) // somebody else asked in the same second
		wanted.Name = api.NewSnapshotName(api.SnapshotAsked, wanted.AskedAt)
	}
	if isEtcdSilent(err) {
		err = fmt.Errorf("it is unknown whether snapshot %s is recorded; to see it: skyctl get snapshots --cluster "+
			"%s: %w", wanted.Name, cluster, err)
	}
	if err != nil {
		return SnapshotRequest{}, err
	}
	return SnapshotRequest{Snapshot: wanted, Changed: true, Unstarted: c.signalKeepSnapshots(ctx, t, cl.Ref())}, nil
}

// DeleteSnapshot records that a snapshot is to be deleted wherever it is, and tells skyd. A cluster that is stopped, or
// is being restored, needs its snapshot: then the error is a *api.RefusedError.
func (c *Client) DeleteSnapshot(ctx context.Context, seen api.Snapshot) (SnapshotRequest, error) {
	s, t, err := c.connectForRequest(ctx)
	if err != nil {
		return SnapshotRequest{}, err
	}
	clusters, err := s.ListClusters(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return SnapshotRequest{}, err
	}
	for i := range clusters {
		if err := clusters[i].RefuseSnapshotDelete(seen); err != nil {
			return SnapshotRequest{}, err
		}
	}
	result := SnapshotRequest{}
	result.Snapshot, err = c.updateSnapshot(ctx, s, seen, func(now *api.Snapshot) error {
		result.Changed = now.State != api.SnapshotDeleting
		now.State, now.Failure, now.FailedAt = api.SnapshotDeleting, "", time.Time{}
		return nil
	})
	if err != nil {
		return SnapshotRequest{}, err
	}
	result.Unstarted = c.signalKeepSnapshots(ctx, t, seen.Ref())
	return result, nil
}

// VerifySnapshot records that a snapshot is to be verified, and tells skyd. If its state does not allow that, the error
// is a *api.RefusedError.
func (c *Client) VerifySnapshot(ctx context.Context, seen api.Snapshot) (SnapshotRequest, error) {
	s, t, err := c.connectForRequest(ctx)
	if err != nil {
		return SnapshotRequest{}, err
	}
	result := SnapshotRequest{}
	result.Snapshot, err = c.updateSnapshot(ctx, s, seen, func(now *api.Snapshot) error {
		if err := now.RefuseCheck(); err != nil {
			return err
		}
		if result.Changed = !now.Check.IsDue(); result.Changed {
			now.RequestCheck(c.now().UTC())
		}
		return nil
	})
	if err != nil {
		return SnapshotRequest{}, err
	}
	err = c.callTemporal(ctx, 2*dialTimeout, func(ctx context.Context) error {
		return start.VerifySnapshots(ctx, t, c.cfg.Temporal.TaskQueue)
	})
	result.Unstarted = c.toTemporalError(ctx, err)
	return result, nil
}

// updateSnapshot changes the record of a snapshot, with patience for an etcd that is only slow.
func (c *Client) updateSnapshot(ctx context.Context, s *store.Store, seen api.Snapshot,
	change func(*api.Snapshot) error) (updated api.Snapshot, err error) {
	err = c.retryStore(ctx, func() (err error) {
		updated, err = s.UpdateSnapshot(ctx, seen.Ref(), seen.Name, change)
		return err
	})
	return updated, err
}

// connectForRequest connects to both servers, and fails while the home is in doubt.
func (c *Client) connectForRequest(ctx context.Context) (*store.Store, client.Client, error) {
	s, t, err := c.connectServers(ctx)
	if err == nil {
		err = refuseHomeInDoubt(ctx, s)
	}
	return s, t, err
}

// signalKeepSnapshots tells skyd that the records of a cluster's snapshots have changed.
func (c *Client) signalKeepSnapshots(ctx context.Context, t client.Client, cluster api.Ref) error {
	err := c.callTemporal(ctx, 2*dialTimeout, func(ctx context.Context) error {
		return start.SignalKeepSnapshots(ctx, t, c.cfg.Temporal.TaskQueue,
			operation.KeepSnapshotsInput{Cluster: cluster})
	})
	return c.toTemporalError(ctx, err)
}

// snapshotCheckTimeout bounds the reading of a snapshot's file, which may be far away.
const snapshotCheckTimeout = 15 * time.Minute

// CheckSnapshotFile has skyd read the file of a kept snapshot from its start to its end. If it is missing or damaged,
// the error is an *api.SnapshotRefusedError.
func (c *Client) CheckSnapshotFile(ctx context.Context, s api.Snapshot) error {
	run, err := c.startShortWorkflow(ctx, client.StartWorkflowOptions{
		ID: "check-snapshot/" + uuid.NewString(), WorkflowExecutionTimeout: snapshotCheckTimeout,
		StaticSummary: fmt.Sprintf("Check snapshot %s of %s", s.Name, s.Cluster),
	}, operation.WorkflowCheckSnapshot, operation.CheckSnapshotInput{Cluster: s.Ref(), Name: s.Name})
	if err != nil {
		return err
	}
	var result operation.CheckSnapshotResult
	if err := run.awaitResultOrAbandon(ctx, &result); err != nil {
		return fmt.Errorf("checking snapshot %s: %w", s.Name, err)
	}
	if result.Problem != "" {
		return &api.SnapshotRefusedError{Snapshot: s.Name, Cluster: s.Cluster, Request: "restored", Why: result.Problem}
	}
	return nil
}
