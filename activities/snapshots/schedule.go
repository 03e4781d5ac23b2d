package snapshots

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// listInterval is how often all records of snapshots are read for those that a command wanted without reaching
// Temporal, or that are left of deleted clusters.
const listInterval = 10 * time.Minute

// StartDueSnapshots starts KeepSnapshots for all clusters that need it now, and returns how many it started or found
// running. It also starts the verification of snapshots for which that is requested, by the schedule of their cluster
// or by a command that did not reach Temporal. While the home is in doubt it starts none.
func (a *Activities) StartDueSnapshots(ctx context.Context) (int, error) {
	const step = "start keeping snapshots"
	doubt, err := a.Home.RecentDoubt(ctx)
	if err != nil || doubt != nil {
		return 0, activities.StepError(ctx, step, "", err)
	}
	due, verifies, err := a.findDueClusters(ctx)
	if err != nil {
		return 0, activities.StepError(ctx, step, "", err)
	}
	var failed error
	for _, ref := range due {
		if err := a.Start(ctx, ref); err != nil {
			failed = err
		}
	}
	if verifies && a.StartChecks != nil {
		if err := a.StartChecks(ctx); err != nil {
			failed = err
		}
	}
	return len(due), activities.StepError(ctx, step, "", failed)
}

// findDueClusters returns the clusters whose snapshots need a look, and whether a verification is requested.
func (a *Activities) findDueClusters(ctx context.Context) (due []api.Ref, verifies bool, err error) {
	clusters, err := a.Store.ListClusters(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return nil, false, err
	}
	if verifies, err = a.requestScheduledChecks(ctx, clusters); err != nil {
		return nil, false, err
	}
	now := a.Now()
	isDue := map[api.Ref]bool{}
	add := func(ref api.Ref) {
		if !isDue[ref] {
			isDue[ref], due = true, append(due, ref)
		}
	}
	for _, c := range clusters {
		if c.NeedsSnapshotLook(now) {
			add(c.Ref())
		}
	}
	a.mu.Lock()
	listsAll := now.Sub(a.listedAt) >= listInterval
	a.mu.Unlock()
	if !listsAll {
		return due, verifies, nil
	}
	all, err := a.Store.ListSnapshots(ctx, "")
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return nil, false, err
	}
	for _, s := range all {
		verifies = verifies || s.Check.IsDue()
		if s.State == api.SnapshotWanted || s.State == api.SnapshotDeleting {
			add(s.Ref())
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listedAt = now
	return due, verifies, nil
}

// RecordSnapshotsInput says how a look at a cluster's snapshots ended.
type RecordSnapshotsInput struct {
	Cluster api.Ref `json:"cluster"`
	Problem string  `json:"problem,omitempty"`
}

// RecordSnapshots records the condition of a cluster's snapshots, and when to look at them again. People are told when
// it changes.
func (a *Activities) RecordSnapshots(ctx context.Context, in RecordSnapshotsInput) error {
	err := a.recordSnapshots(ctx, in)
	if gone := new(store.NotFoundError); errors.As(err, &gone) {
		err = nil
	}
	return activities.StepError(ctx, "record the state of the snapshots", "", err)
}

func (a *Activities) recordSnapshots(ctx context.Context, in RecordSnapshotsInput) error {
	known, err := a.Store.ListSnapshots(ctx, in.Cluster.UID)
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return err
	}
	now := a.Now()
	var before *api.Condition
	var condition api.Condition
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		before = nil
		if old := c.Status.FindCondition(api.ConditionSnapshotsCurrent); old != nil {
			kept := *old
			before = &kept
		}
		policy := c.Spec.Snapshots
		looked := api.SnapshotStatus{LookedAt: now,
			NextAt:   api.NextSnapshotLook(policy, c.DropUndoneSnapshots(known), now),
			Schedule: policy.Schedule(), Problem: in.Problem}
		condition = api.SnapshotsCondition(c, known, looked, now)
		c.Status.Snapshots = c.Status.BeginSnapshotLook(looked)
		c.Status.SetCondition(condition, now)
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case condition.Status == api.ConditionFalse && (before == nil || before.Status != api.ConditionFalse):
		a.recordConditionEvent(ctx, c, api.EventWarning, "SnapshotsNotCurrent", condition.Message)
	case condition.Status == api.ConditionTrue && before != nil && before.Status == api.ConditionFalse:
		a.recordConditionEvent(ctx, c, api.EventNormal, "SnapshotsCurrent", condition.Message)
	}
	if activity.IsActivity(ctx) && in.Problem != "" {
		activity.GetLogger(ctx).Warn("the snapshots of a cluster could not be looked at", "cluster", in.Cluster.Name,
			"problem", in.Problem)
	}
	return nil
}

func (a *Activities) recordConditionEvent(ctx context.Context, c *api.Cluster, kind api.EventType, reason,
	message string) {
	a.recordEvent(ctx, api.Snapshot{Cluster: c.Metadata.Name, ClusterUID: c.Metadata.UID}, kind, reason,
		fmt.Sprintf("snapshots: %s", message))
}
