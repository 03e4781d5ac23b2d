package snapshots

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Assessment is what to do with the snapshots of a cluster now, by name.
type Assessment struct {
	Take    []string `json:"take,omitempty"`
	Delete  []string `json:"delete,omitempty"`
	Collect []string `json:"collect,omitempty"`
	// Problem is why the server or the storage could not be asked.
	Problem string `json:"problem,omitempty"`
}

const (
	// maxAtOnce bounds the snapshots of one kind in an assessment; the next one has the others.
	maxAtOnce = 20
	// compareInterval is how often the files that are kept are compared with their records.
	compareInterval = time.Hour
	// operationWait is how long an operation may take for its own snapshot before that counts as given up.
	operationWait = time.Hour
)

// AssessSnapshots compares the records of a cluster's snapshots with its server and with what is kept, records what has
// changed, and returns what to do. While the home is in doubt there is nothing to do.
func (a *Activities) AssessSnapshots(ctx context.Context, ref api.Ref) (Assessment, error) {
	const step = "look at the snapshots"
	doubt, err := a.Home.ReadDoubt(ctx)
	if err != nil {
		return Assessment{}, activities.StepError(ctx, step, "", err)
	}
	if doubt != nil {
		return Assessment{Problem: api.HomeHeld}, nil
	}
	found, err := a.assessSnapshots(ctx, ref)
	return found, activities.StepError(ctx, step, "", err)
}

func (a *Activities) assessSnapshots(ctx context.Context, ref api.Ref) (Assessment, error) {
	release, err := a.locks.Acquire(ctx, ref.UID)
	if err != nil {
		return Assessment{}, err
	}
	defer release()
	c, err := a.readIfThere(ctx, ref)
	if err != nil {
		return Assessment{}, err
	}
	l := &look{Activities: a, cluster: c, ref: ref, now: a.Now()}
	if err := l.readRecords(ctx); err != nil {
		return Assessment{}, err
	}
	if c == nil {
		return l.assess(ctx)
	}
	for i, s := range l.known {
		if l.known[i], err = a.adoptStoragePolicy(ctx, c, s); err != nil {
			return Assessment{}, err
		}
	}
	if err := l.compareWithVaults(ctx); err != nil {
		return Assessment{}, err
	}
	if why, _ := c.WhyNoSnapshot(); why == "" {
		if err := l.compareWithServer(ctx); err != nil {
			return Assessment{}, err
		}
	}
	return l.assess(ctx)
}

// look is one look at the snapshots of a cluster.
type look struct {
	*Activities
	cluster *api.Cluster // nil if it is gone
	ref     api.Ref
	now     time.Time
	known   []api.Snapshot
	// problem is why the server could not be asked, storageProblem why one of the storages could not.
	problem, storageProblem string
}

func (l *look) readRecords(ctx context.Context) (err error) {
	l.known, err = l.Store.ListSnapshots(ctx, l.ref.UID)
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		if activity.IsActivity(ctx) {
			activity.GetLogger(ctx).Warn("some snapshots have unreadable records", "error", err)
		}
		return nil
	}
	return err
}

// record writes changed records, unless they have changed since they were read.
func (l *look) record(ctx context.Context, changed []api.Snapshot) error {
	for _, s := range changed {
		i := slices.IndexFunc(l.known, func(k api.Snapshot) bool { return k.Name == s.Name })
		before := l.known[i]
		now, err := l.Store.UpdateSnapshot(ctx, l.ref, s.Name, func(stored *api.Snapshot) error {
			if stored.State == before.State && stored.OnMachine == before.OnMachine {
				stored.State, stored.OnMachine, stored.Failure = s.State, s.OnMachine, s.Failure
				if s.State == api.SnapshotLost {
					stored.FailedAt = l.now
				}
			}
			return nil
		})
		if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
			continue
		}
		if err != nil {
			return err
		}
		l.known[i] = now
		if now.State == api.SnapshotLost && before.State != api.SnapshotLost {
			l.recordEvent(ctx, now, api.EventWarning, "SnapshotLost", fmt.Sprintf("snapshot %s is lost: %s", now.Name,
				now.Failure))
		}
	}
	return nil
}

// compareWithVaults compares the records with the files that are kept, now and then: the directory of a restored
// server is empty, for example. A storage that does not answer changes nothing.
func (l *look) compareWithVaults(ctx context.Context) error {
	l.mu.Lock()
	due := l.now.Sub(l.comparedAt[l.ref.UID]) >= compareInterval
	l.mu.Unlock()
	if !due {
		return nil
	}
	byPlace := map[string]api.Snapshot{}
	for _, s := range l.known {
		if s.Place != "" {
			byPlace[s.Place] = s
		}
	}
	for _, place := range slices.Sorted(maps.Keys(byPlace)) {
		v, err := l.Files.VaultOf(ctx, byPlace[place])
		if err != nil {
			l.storageProblem = redact.Text(err.Error())
			continue
		}
		files, err := v.List(ctx)
		if err != nil {
			l.storageProblem = redact.Text(err.Error())
			continue
		}
		objects := map[string]bool{}
		for _, f := range files {
			objects[f.Name] = true
		}
		if err := l.record(ctx, api.CompareWithVault(l.known, place, objects)); err != nil {
			return err
		}
	}
	if l.storageProblem != "" {
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.comparedAt == nil {
		l.comparedAt = map[string]time.Time{}
	}
	l.comparedAt[l.ref.UID] = l.now
	return nil
}

// compareWithServer compares the records with the server's snapshots, and records new ones that are to be collected. A
// server that does not answer is a problem, not an error.
func (l *look) compareWithServer(ctx context.Context) error {
	on, err := l.connectToHead(ctx, l.cluster)
	var files []rke2.SnapshotFile
	if err == nil {
		listCtx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		files, err = rke2.ListSnapshots(listCtx, on.host)
	}
	if err != nil {
		l.problem = "the server does not answer: " + redact.Text(err.Error())
		return ctx.Err()
	}
	onServer := make([]api.ServerSnapshot, len(files))
	for i, f := range files {
		onServer[i] = api.ServerSnapshot{File: f.Name, Requested: f.RequestedName(), Scheduled: f.IsScheduled(),
			TakenAt: f.TakenAt, Bytes: f.Bytes}
	}
	if err := l.record(ctx, api.CompareWithServer(l.known, *on.head, onServer)); err != nil {
		return err
	}
	for _, s := range l.known {
		if err := l.tidyServer(ctx, on, s); err != nil {
			return err
		}
	}
	if err := l.recordNew(ctx, on, files, onServer); err != nil {
		return err
	}
	return l.writeSchedule(ctx, on)
}

// recordNew records snapshots of the server's own schedule.
func (l *look) recordNew(ctx context.Context, on server, files []rke2.SnapshotFile,
	onServer []api.ServerSnapshot) error {
	for _, f := range api.SelectServerSnapshots(l.cluster.Spec.Snapshots, l.known, onServer, l.now) {
		i := slices.IndexFunc(files, func(of rke2.SnapshotFile) bool { return of.Name == f.File })
		s := api.Snapshot{Name: api.NewSnapshotName(api.SnapshotScheduled, f.TakenAt), Cluster: l.ref.Name,
			ClusterUID: l.ref.UID, Reason: api.SnapshotScheduled}
		setTaken(&s, on, files[i])
		err := l.createWithFreeName(ctx, &s)
		if err != nil {
			return err
		}
		l.known = append(l.known, s)
	}
	return nil
}

// createWithFreeName records a snapshot. Its name gets a number if another one seems to be of the same second, because
// a clock was wrong or set back.
func (l *look) createWithFreeName(ctx context.Context, s *api.Snapshot) error {
	name := s.Name
	for number := 2; ; number++ {
		err := l.Store.CreateSnapshot(ctx, *s)
		if exists := new(store.SnapshotExistsError); !errors.As(err, &exists) {
			return err
		}
		s.Name = fmt.Sprintf("%s-%d", name, number)
	}
}

// writeSchedule writes the schedule of the spec into the server's configuration, where it counts from its next start.
func (l *look) writeSchedule(ctx context.Context, on server) error {
	policy := l.cluster.Spec.Snapshots
	if on.head.SnapshotSchedule == policy.Schedule() {
		return nil
	}
	if err := rke2.WriteSnapshotSchedule(ctx, on.host, policy.Interval()); err != nil {
		if activity.IsActivity(ctx) {
			activity.GetLogger(ctx).Info("the server's schedule of snapshots is written later", "error", err)
		}
		return ctx.Err()
	}
	_, err := l.Store.UpdateMachine(ctx, l.ref, on.head.Index, on.head.Incarnation, func(m *api.Machine) error {
		m.SnapshotSchedule = policy.Schedule()
		return nil
	})
	return err
}

// assess returns what to do, after it has recorded what is wanted by schedule, given up and to be pruned.
func (l *look) assess(ctx context.Context) (Assessment, error) {
	found := Assessment{Problem: cmp.Or(l.problem, l.storageProblem)}
	if l.cluster != nil {
		if err := l.wantScheduled(ctx); err != nil {
			return found, err
		}
		if err := l.markOld(ctx); err != nil {
			return found, err
		}
	}
	for _, s := range l.known {
		switch {
		case s.State == api.SnapshotWanted:
			take, err := l.mayTake(ctx, s)
			if err != nil {
				return found, err
			}
			if take {
				found.Take = append(found.Take, s.Name)
			}
		case s.State == api.SnapshotDeleting && s.IsRetryDue(l.now):
			found.Delete = append(found.Delete, s.Name)
		}
	}
	if l.cluster != nil && l.problem == "" {
		for _, s := range api.SnapshotsToCollect(l.known, l.now) {
			found.Collect = append(found.Collect, s.Name)
		}
	}
	found.Take = found.Take[:min(len(found.Take), maxAtOnce)]
	found.Delete = found.Delete[:min(len(found.Delete), maxAtOnce)]
	found.Collect = found.Collect[:min(len(found.Collect), maxAtOnce)]
	return found, nil
}

// markOld records which snapshots are to be pruned. If the record of a cluster is unreadable, it marks none: that
// cluster may be restored from one of them.
func (l *look) markOld(ctx context.Context) error {
	policy := l.cluster.Spec.Snapshots
	if len(api.SnapshotsToPrune(policy, l.known, nil, l.now)) == 0 {
		return nil
	}
	needed, err := l.readProtected(ctx, l.known)
	if len(store.CorruptClusterNames(err)) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range api.SnapshotsToPrune(policy, l.known, needed[l.ref.UID], l.now) {
		marked, err := l.markPruned(ctx, s, needed[l.ref.UID])
		if err != nil {
			return err
		}
		l.replace(marked)
	}
	return nil
}

func (l *look) replace(s api.Snapshot) {
	for i := range l.known {
		if l.known[i].Name == s.Name {
			l.known[i] = s
		}
	}
}

// wantScheduled records that skyd has to take a snapshot itself, or that it no longer has to.
func (l *look) wantScheduled(ctx context.Context) error {
	why, _ := l.cluster.WhyNoSnapshot()
	due := why == "" && l.problem == "" && api.IsSnapshotDue(l.cluster.Spec.Snapshots,
		l.cluster.DropUndoneSnapshots(l.known), l.now)
	for i, s := range l.known {
		if s.State != api.SnapshotWanted || !s.IsAutomatic() {
			continue
		}
		if due || l.problem != "" {
			return nil
		}
		l.known = slices.Delete(l.known, i, i+1)
		return l.Store.ForgetSnapshot(ctx, l.ref, s.Name)
	}
	if !due {
		return nil
	}
	s := api.Snapshot{Name: api.NewSnapshotName(api.SnapshotScheduled, l.now), Cluster: l.ref.Name,
		ClusterUID: l.ref.UID, Reason: api.SnapshotScheduled, State: api.SnapshotWanted, AskedAt: l.now}
	err := l.Store.CreateSnapshot(ctx, s)
	if exists := new(store.SnapshotExistsError); errors.As(err, &exists) {
		return nil // one of this second
	}
	l.known = append(l.known, s)
	return err
}

// mayTake reports whether a wanted snapshot is to be taken now. One that cannot be gets the reason, and has failed once
// nothing suggests that it still can.
func (l *look) mayTake(ctx context.Context, s api.Snapshot) (bool, error) {
	why, final := "the cluster was deleted", true
	if l.cluster != nil {
		why, final = l.cluster.WhyNoSnapshot()
	}
	if why == "" {
		why = l.problem
	}
	waited := l.now.Sub(s.AskedAt)
	switch s.Reason {
	case api.SnapshotBeforeStop, api.SnapshotBeforeRestore:
		if waited < operationWait {
			return false, nil // its operation takes it
		}
		why, final = "the operation that wanted it has ended", true
	case api.SnapshotAsked:
		final = final || waited >= api.SnapshotWait && !s.FailedAt.IsZero() // skyd may not have run until now
		if why == "" && final {
			why = s.Failure
		}
	}
	if why == "" && !final {
		return s.IsRetryDue(l.now), nil
	}
	if s.IsAutomatic() && l.cluster != nil {
		return false, nil
	}
	failed, err := l.Store.UpdateSnapshot(ctx, l.ref, s.Name, func(s *api.Snapshot) error {
		if s.State != api.SnapshotWanted {
			return nil
		}
		if s.Failure, s.FailedAt = why, l.now; final {
			s.State = api.SnapshotFailed
		}
		return nil
	})
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		return false, nil
	}
	if err == nil && final {
		l.announceFailed(ctx, failed)
	}
	return false, err
}
