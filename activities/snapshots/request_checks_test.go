package snapshots

import (
	"context"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestScheduleRequestsTheVerificationOnce(t *testing.T) {
	v, s := newVerifier(t)
	now := time.Now()
	if _, err := v.Store.UpdateSnapshot(t.Context(), s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.Check = nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c := api.NewCluster(s.Cluster, s.ClusterUID, api.GroupSpec{Cloud: "docker", NumNodes: 1}, nil, now)
	c.Spec.Snapshots.VerifyEvery = "24h"
	if _, err := v.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	started := 0
	a := &Activities{Store: v.Store, Now: func() time.Time { return now },
		Start:       func(context.Context, api.Ref) error { return nil },
		StartChecks: func(context.Context) error { started++; return nil }}
	for range 2 { // the second finds it requested when it lists all snapshots, a later one does not list them
		if _, err := a.StartDueSnapshots(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := v.Store.ReadSnapshot(t.Context(), s.Ref(), s.Name); err != nil || !after.Check.IsDue() ||
		started != 1 {
		t.Errorf("started %d times, %+v, %v", started, after.Check, err)
	}
	a = &Activities{Store: v.Store, Now: a.Now, Start: a.Start, StartChecks: a.StartChecks} // as after a restart
	if _, err := a.StartDueSnapshots(t.Context()); err != nil || started != 2 {
		t.Errorf("a request whose start was lost: started %d times, %v", started, err)
	}
	if err := v.FailSnapshotCheck(t.Context(), FailedCheck{Ref: CheckRef{Cluster: s.Ref(), Name: s.Name}}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(25 * time.Hour)
	if _, err := a.StartDueSnapshots(t.Context()); err != nil || started != 3 {
		t.Errorf("a day later: started %d times, %v", started, err)
	}
}
