// Package snapshotscenes plays what happens to the snapshots of a cluster of one simulated machine, for tests of the
// activities and of whole operations. Only tests import it.
package snapshotscenes

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// Keeper is a READY cluster of one simulated machine whose snapshots are kept by the Steps.
type Keeper struct {
	T     *testing.T
	Cloud *simcloud.Cloud
	Store *store.Store
	Files *activities.SnapshotFiles
	Ref   api.Ref
	Steps Steps

	ahead atomic.Int64 // of the clock of the activities
}

// Steps are what one kind of test does in its own way.
type Steps interface {
	// StartDue starts what keeps the snapshots of clusters that are due, and returns the number of these.
	StartDue() int
	// KeepSnapshots takes, collects, prunes and deletes snapshots until nothing is left to do.
	KeepSnapshots()
	// Tries is how often KeepSnapshots tries a step that fails.
	Tries() int
	// Restart replaces the process that keeps the snapshots; between is called while none runs.
	Restart(between func())
	// RequestSnapshot and RequestDelete are what a person asks of snapshots, and DeleteCluster of the cluster. It
	// returns once the cluster is gone.
	RequestSnapshot(name string)
	RequestDelete(s api.Snapshot)
	DeleteCluster()
}

// Now is the clock of the activities.
func (k *Keeper) Now() time.Time { return time.Now().UTC().Add(time.Duration(k.ahead.Load())) }

// SetAhead sets how far that clock is ahead.
func (k *Keeper) SetAhead(by time.Duration) { k.ahead.Store(int64(by)) }

// Check ends the test with an error.
func (k *Keeper) Check(err error) {
	k.T.Helper()
	if err != nil {
		k.T.Fatal(err)
	}
}

// Head is the name of the machine.
func (k *Keeper) Head() string { return api.MachineName(k.Ref.Name, 0) }

// Keep keeps the snapshots, and returns them, the newest first.
func (k *Keeper) Keep() []api.Snapshot {
	k.T.Helper()
	k.Steps.KeepSnapshots()
	return k.Snapshots()
}

// Snapshots returns the records of the snapshots, the newest first.
func (k *Keeper) Snapshots() []api.Snapshot {
	k.T.Helper()
	all, err := k.Store.ListSnapshots(k.T.Context(), k.Ref.UID)
	k.Check(err)
	return all
}

// Describe returns the names, states and failures of snapshots.
func Describe(all []api.Snapshot) string {
	var text []string
	for _, s := range all {
		text = append(text, s.Name+" "+string(s.State)+" "+s.Failure)
	}
	return strings.Join(text, "; ")
}

// KeptFiles returns the files in skyd's directory, also half ones.
func (k *Keeper) KeptFiles() []string {
	k.T.Helper()
	var files []string
	k.Check(filepath.WalkDir(k.Files.Dir, func(_ string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && !d.IsDir() && d.Name() != ".lock" {
			files = append(files, d.Name())
		}
		return err
	}))
	return files
}

// Ask records that a person wants a snapshot, and tells nobody.
func (k *Keeper) Ask(name string) {
	k.T.Helper()
	k.Check(k.Store.CreateSnapshot(k.T.Context(), api.Snapshot{Name: name, Cluster: k.Ref.Name, ClusterUID: k.Ref.UID,
		Reason: api.SnapshotAsked, State: api.SnapshotWanted, AskedAt: time.Now().UTC()}))
}

// Update changes the record of a snapshot.
func (k *Keeper) Update(name string, change func(*api.Snapshot)) {
	k.T.Helper()
	_, err := k.Store.UpdateSnapshot(k.T.Context(), k.Ref, name, func(s *api.Snapshot) error {
		change(s)
		return nil
	})
	k.Check(err)
}

// Cluster returns the cluster as it is recorded.
func (k *Keeper) Cluster() *api.Cluster {
	k.T.Helper()
	c, err := k.Store.ReadCluster(k.T.Context(), k.Ref.Name)
	k.Check(err)
	return c
}

// Condition returns the condition of the snapshots.
func (k *Keeper) Condition() api.Condition {
	k.T.Helper()
	c := k.Cluster().Status.FindCondition(api.ConditionSnapshotsCurrent)
	if c == nil {
		k.T.Fatal("there is no condition")
	}
	return *c
}

// HasEvent reports whether the cluster has an event with a reason.
func (k *Keeper) HasEvent(reason string) bool {
	k.T.Helper()
	all, err := k.Store.ListEvents(k.T.Context(), k.Ref.UID)
	k.Check(err)
	return slices.ContainsFunc(all, func(e api.Event) bool { return e.Reason == reason })
}

// TakeScheduled lets the server's schedule take a snapshot that is newer than another one, and returns its file: names
// count seconds.
func (k *Keeper) TakeScheduled(after time.Time) string {
	k.T.Helper()
	var file string
	eventually.Holds(k.T, "the server takes a newer snapshot", func() bool {
		var err error
		file, err = k.Cloud.TakeScheduledSnapshot(k.Head())
		k.Check(err)
		seconds, err := strconv.ParseInt(file[strings.LastIndexByte(file, '-')+1:], 10, 64)
		k.Check(err)
		return seconds > after.Unix()
	})
	return file
}
