// Package snapshots has the activities that take, collect, prune, delete and verify the snapshots of clusters.
package snapshots

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/keyedlock"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Activities keep the snapshots of clusters.
type Activities struct {
	Store *store.Store
	Pool  *remote.Pool
	Files *activities.SnapshotFiles
	// Home reports whether this state may take and delete snapshots; nil if that is never in doubt.
	Home *homewatch.Watch
	// Start starts KeepSnapshots for a cluster, unless it is running.
	Start func(ctx context.Context, ref api.Ref) error
	// StartChecks starts the verification of the snapshots for which that is requested.
	StartChecks func(ctx context.Context) error
	Now         func() time.Time

	// locks has one lock for each cluster, so that no snapshot is taken twice at the same time, and one for each file,
	// which may take hours to copy: see fileLock. room is held while snapshots are removed to give room, and copies has
	// an element for each copy that is under way.
	locks  keyedlock.Locks
	room   sync.Mutex
	copies chan struct{}

	mu sync.Mutex
	// listedAt is when the records of all snapshots were last read for pending ones, comparedAt when those of a cluster
	// were last compared with the files that are kept.
	listedAt   time.Time
	comparedAt map[string]time.Time
}

// Ref names a snapshot of a cluster.
type Ref struct {
	Cluster api.Ref `json:"cluster"`
	Name    string  `json:"name"`
}

// connectTimeout bounds the connection to a server, commandTimeout one of its commands on snapshots.
const (
	connectTimeout = 20 * time.Second
	commandTimeout = 3 * time.Minute
)

// copiesAtOnce bounds the snapshots that are copied at the same time: each needs room on the disk and memory.
const copiesAtOnce = 8

// fileLock is the key of the lock of a snapshot's file.
func fileLock(in Ref) string { return in.Cluster.UID + "/" + in.Name }

// acquireCopy waits until another snapshot may be copied. The caller calls done once.
func (a *Activities) acquireCopy(ctx context.Context) (done func(), err error) {
	a.mu.Lock()
	if a.copies == nil {
		a.copies = make(chan struct{}, copiesAtOnce)
	}
	a.mu.Unlock()
	select {
	case a.copies <- struct{}{}:
		return func() { <-a.copies }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// server is a cluster's server to which this process is connected.
type server struct {
	cluster *api.Cluster
	head    *api.Machine
	host    *remote.Host
}

// connectToServer connects to the machine of a cluster's only server.
func (a *Activities) connectToServer(ctx context.Context, ref api.Ref) (server, error) {
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return server{}, err
	}
	return a.connectToHead(ctx, c)
}

func (a *Activities) connectToHead(ctx context.Context, c *api.Cluster) (server, error) {
	head, err := c.Head()
	if err != nil {
		return server{}, err
	}
	if head.Address == "" || !head.State.MayExist() {
		return server{}, fmt.Errorf("the cluster's server %s does not exist now", head.Name)
	}
	key, err := a.Store.ReadSecret(ctx, c.Ref(), store.SecretSSHKey)
	if err != nil {
		return server{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	h, err := a.Pool.GetHost(ctx, sshtarget.Of(c, head), key)
	return server{c, head, h}, err
}

// recordTimeout bounds the record of a failure.
const recordTimeout = 10 * time.Second

// recordFailure records why the last try failed with a snapshot, unless the activity was cancelled. A snapshot that
// cannot be what it should be has failed for good.
func (a *Activities) recordFailure(ctx context.Context, in Ref, failed error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	// One that took too long has failed too: otherwise the next try would come at once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	s, err := a.Store.UpdateSnapshot(ctx, in.Cluster, in.Name, func(s *api.Snapshot) error {
		s.Failure, s.FailedAt = redact.Text(failed.Error()), a.Now()
		if isDamaged(failed) && s.State == api.SnapshotTaken {
			s.State = api.SnapshotFailed
		}
		return nil
	})
	if err == nil && s.State == api.SnapshotFailed {
		a.announceFailed(ctx, s)
	}
}

func (a *Activities) announceFailed(ctx context.Context, s api.Snapshot) {
	a.recordEvent(ctx, s, api.EventWarning, "SnapshotFailed", fmt.Sprintf("snapshot %s has failed: %s", s.Name,
		s.Failure))
}

func isDamaged(err error) bool {
	reasoned, ok := errors.AsType[interface {
		error
		Reason() string
	}](err)
	return ok && reasoned.Reason() == "SnapshotDamaged"
}

// recordEvent records an event about a snapshot.
func (a *Activities) recordEvent(ctx context.Context, s api.Snapshot, kind api.EventType, reason, message string) {
	now := a.Now()
	activities.RecordEvent(ctx, a.Store, api.Event{Cluster: s.Cluster, UID: s.ClusterUID, Type: kind, Reason: reason,
		Message: message, First: now, Last: now})
}
