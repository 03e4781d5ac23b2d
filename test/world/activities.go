// Package world connects activities to real servers and to a simulated cloud, for tests of whole operations. A worker
// in another process can use a cloud in this one.
package world

import (
	"log/slog"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/homewatch"
	"github.com/sky-shift/skyctl/activities/machines"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/simcloud"
	"github.com/sky-shift/skyctl/worker"
)

// WorkerSettings are what a test can choose for its worker.
type WorkerSettings struct {
	// TaskQueue is the queue of the worker and of the operations that sweeps start.
	TaskQueue string
	// Home is the directory of the user's kubeconfigs.
	Home string
	// Release is the directory with the RKE2 release.
	Release     string
	Deadlines   activities.Deadlines
	Policy      plan.Policy
	OrphanGrace time.Duration
	// Place is the path of the state, and Ledger the record of starts on its computer. Without Place the home is never
	// in doubt.
	Place  home.Location
	Ledger string
	// Restored says from which backup the state was restored; nil if it was not.
	Restored *home.Restoration
	// Snapshots is the directory in which snapshots are kept, of at most SnapshotQuota bytes.
	Snapshots     string
	SnapshotQuota uint64
	// Ahead is how far the clock of sweeps is ahead of real time, so that tests need not wait for grace periods.
	Ahead time.Duration
}

// UniformDeadlines gives every part of an activity the same deadline.
func UniformDeadlines(d time.Duration) activities.Deadlines {
	return activities.Deadlines{
		Query: d, Terminate: d, Boot: d, Reach: d, Install: d, Images: d, Server: d, Agent: d, AddOns: d, Node: d,
		Recover: d,
	}
}

// NewActivities creates the activities for a store, machines and one cloud, under the name of the simulated one.
func NewActivities(s WorkerSettings, st *store.Store, pool *remote.Pool, on cloud.Cloud,
	temporal client.Client) worker.Activities {
	now := func() time.Time { return time.Now().UTC() }
	dir := func(cluster string) string { return filepath.Join(s.Home, cluster) }
	clouds := activities.Clouds{Named: map[string]cloud.Cloud{simcloud.Name: on}}
	var watch *homewatch.Watch
	if s.Place != (home.Location{}) {
		watch = &homewatch.Watch{
			Store: st, Pool: pool, Here: s.Place, Ledger: home.Ledger{Dir: s.Ledger}, Now: now,
			Log: slog.New(slog.DiscardHandler), Restored: s.Restored,
		}
	}
	release := rke2.Source{Version: simcloud.Version, Source: s.Release}
	files := &activities.SnapshotFiles{Store: st, Dir: s.Snapshots, QuotaBytes: s.SnapshotQuota}
	return worker.Activities{
		Clusters: &record.Activities{Store: st, Pool: pool, ClusterDir: dir, Now: now, RKE2: release,
			AddOnsTimeout: s.Deadlines.AddOns},
		Machines: &machines.Activities{Store: st, Clouds: clouds, Pool: pool, Now: now, Deadlines: s.Deadlines,
			RKE2: release},
		Nodes: &nodes.Activities{
			Store: st, Pool: pool, Clouds: clouds, LossCheckInterval: 500 * time.Millisecond, ClusterDir: dir, Now: now,
			RenewWithin: s.Policy.ExpiresWithin, Deadlines: s.Deadlines, Home: watch,
			Snapshots: files,
		},
		Sweeps: &observe.Activities{
			Store: st, Clouds: clouds, Pool: pool, ClusterDir: dir, Policy: s.Policy, OrphanGrace: s.OrphanGrace,
			Deadlines: s.Deadlines,
			Now:       func() time.Time { return now().Add(s.Ahead) },
			Start:     worker.NewOperationStarter(temporal, s.TaskQueue),
			Home:      watch,
		},
		Snapshots: &snapshots.Activities{
			Store: st, Pool: pool, Home: watch, Start: worker.NewSnapshotStarter(temporal, s.TaskQueue),
			StartChecks: worker.NewCheckStarter(temporal, s.TaskQueue),
			Now:         func() time.Time { return now().Add(s.Ahead) },
			Files:       files,
		},
		SnapshotChecks: &snapshots.Verifier{
			Store: st, Files: files, Clouds: clouds, Deadlines: s.Deadlines, Now: now, RKE2: release,
		},
	}
}
