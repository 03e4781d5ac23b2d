package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

func TestStaleSweepsAreNoted(t *testing.T) {
	p := newExternalUser(t)
	ctx, etcd, prefix := t.Context(), plainEtcd(t), strings.TrimRight(world.Config.Etcd.Prefix, "/")
	spec := api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}
	c, err := world.Store.CreateCluster(ctx, api.NewCluster("stale", "uid-of-stale", spec, nil,
		time.Now().UTC().Add(-time.Hour)))
	if err == nil {
		err = world.SucceedCreate(ctx, c.Ref())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the other tests list all clusters
		_, _ = etcd.Delete(context.Background(), prefix+"/clusters/stale")
		_, _ = etcd.Delete(context.Background(), prefix+"/swept")
	})
	noted := func(args ...string) bool {
		return strings.Contains(p.run(args...).err, "no sweep has checked the clusters")
	}
	describe := []string{"describe", "cluster", "stale"}
	if !noted("get", "clusters") || !noted(describe...) {
		t.Error("no note without any sweep")
	}
	if noted("get", "clusters", "-o", "json") {
		t.Error("a note in output for programs")
	}
	if err := world.Store.RecordSweep(ctx, time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if noted("get", "clusters") || noted(describe...) {
		t.Error("a note although a sweep has just started")
	}
}

func TestMissingSweepTimesOfAnOlderSkydAreNotNoted(t *testing.T) {
	var errs lockedbuffer.Buffer
	old := api.NewCluster("old", "uid", api.GroupSpec{}, nil, time.Now().Add(-time.Hour))
	old.Status.Phase = api.PhaseReady
	a := &app{env: Environment{Err: &errs, Now: time.Now}, worker: &knownWorker{level: 0}}
	if a.noteStaleSweeps(t.Context(), nil, []api.Cluster{*old}); errs.String() != "" {
		t.Errorf("got %s", errs.String())
	}
}
