package store_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

func orphan(name, id, uid string, minutes int) api.Orphan {
	return api.Orphan{Cloud: "aws", Name: name, ID: id, Cluster: "c", ClusterUID: uid,
		FirstSeen: sixOClock.Add(time.Duration(minutes) * time.Minute)}
}

// since returns the minute in which each orphan was first seen, by name.
func since(orphans []api.Orphan) map[string]int {
	all := map[string]int{}
	for _, o := range orphans {
		all[o.Name] = int(o.FirstSeen.Sub(sixOClock).Minutes())
	}
	return all
}

func TestOrphanKeepsFirstSeen(t *testing.T) {
	w := newWorld(t)
	minute := 0
	set := func(cloud string, seen ...api.Orphan) map[string]int {
		t.Helper()
		got, err := w.ReplaceOrphans(t.Context(), cloud, seen, nil, sixOClock.Add(time.Duration(minute)*time.Minute))
		must(t, err)
		if len(got) != len(seen) {
			t.Fatalf("stored %d orphans, got %v", len(seen), got)
		}
		return since(got)
	}
	set("aws", orphan("a", "1", "u1", 0), orphan("b", "2", "u1", 0), orphan("c", "3", "u1", 0))
	set("gcp/x", orphan("a", "9", "u9", 1))
	got := set("aws", orphan("a", "1", "u1", 5), orphan("b", "7", "u1", 5), orphan("d", "4", "u2", 5))
	if got["a"] != 0 || got["b"] != 5 || got["d"] != 5 {
		t.Errorf("first seen %v", got)
	}
	minute = 6
	if got := set("aws", orphan("a", "1", "u2", 6), orphan("c", "3", "u1", 6)); got["a"] != 6 || got["c"] != 0 {
		t.Errorf("another cluster's, and one that was missing briefly: first seen %v", got)
	}
	all, err := w.ListOrphans(t.Context())
	must(t, err)
	if len(all) != 3 {
		t.Errorf("orphans: %+v", all)
	}
	set("aws")
	if all, err = w.ListOrphans(t.Context()); err != nil || len(all) != 1 || all[0].ID != "9" {
		t.Errorf("at the end: %+v, %v", all, err)
	}
	minute = 200
	set("aws")
	if got := set("aws", orphan("c", "3", "u1", 200)); got["c"] != 200 {
		t.Errorf("missing for hours: first seen %v", got)
	}
}

func TestCopyOfOrphanHasOwnAge(t *testing.T) {
	w := newWorld(t)
	_, err := w.ReplaceOrphans(t.Context(), "aws", []api.Orphan{orphan("a", "1", "u1", 0)}, nil, sixOClock)
	must(t, err)
	both := []api.Orphan{orphan("a", "1", "u1", 9), orphan("a", "2", "u1", 9)}
	for range 2 {
		got, err := w.ReplaceOrphans(t.Context(), "aws", both, nil, sixOClock)
		must(t, err)
		if got[0].FirstSeen != sixOClock || got[1].FirstSeen != both[1].FirstSeen {
			t.Errorf("first seen %v and %v", got[0].FirstSeen, got[1].FirstSeen)
		}
	}
	if all, err := w.ListOrphans(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("orphans: %+v, %v", all, err)
	}
}

func TestOrphanOfEarlierVersionKeepsAge(t *testing.T) {
	w := newWorld(t)
	value, err := json.Marshal(orphan("a", "1", "u1", 0))
	must(t, err)
	_, err = w.etcd.Put(t.Context(), w.prefix+"/orphans/aws/a", string(value))
	must(t, err)
	got, err := w.ReplaceOrphans(t.Context(), "aws", []api.Orphan{orphan("a", "1", "u1", 9)}, nil, sixOClock)
	must(t, err)
	if all, err := w.ListOrphans(t.Context()); err != nil || len(all) != 1 || since(got)["a"] != 0 ||
		since(all)["a"] != 0 {
		t.Errorf("%v, then %v, %v", got, all, err)
	}
}

func TestInvalidOrphanIsSkippedAndReplaced(t *testing.T) {
	w := newWorld(t)
	_, err := w.etcd.Put(t.Context(), w.prefix+"/orphans/aws/a", "nonsense")
	must(t, err)
	if all, err := w.ListOrphans(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	_, err = w.ReplaceOrphans(t.Context(), "aws", []api.Orphan{orphan("a", "1", "u1", 3)}, nil, sixOClock)
	must(t, err)
	if all, err := w.ListOrphans(t.Context()); err != nil || since(all)["a"] != 3 {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := w.ReplaceOrphans(t.Context(), "", nil, nil, sixOClock); err == nil {
		t.Error("a cloud without a name was accepted, which is the prefix of all clouds")
	}
}

func TestCreateTimesOfEachCloudAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 25 {
		must(t, w.RecordCreateTime(t.Context(), "aws", api.CreateTime{Machines: 3, Seconds: i}))
	}
	must(t, w.RecordCreateTime(t.Context(), "docker", api.CreateTime{Machines: 1, Seconds: 7}))
	all, err := w.ListCreateTimes(t.Context(), "aws")
	if err != nil || len(all) != 20 || all[19].Seconds != 24 {
		t.Errorf("%v, %+v", err, all)
	}
	if none, err := w.ListCreateTimes(t.Context(), "gcp"); err != nil || len(none) != 0 {
		t.Errorf("%v, %+v", err, none)
	}
	if err := w.RecordCreateTime(t.Context(), "", api.CreateTime{}); err == nil {
		t.Error("a cloud without a name was accepted")
	}
}

func TestListUsedClouds(t *testing.T) {
	w := newWorld(t)
	record := func(name string, minutes int) {
		t.Helper()
		must(t, w.RecordCloudUse(t.Context(), name, sixOClock.Add(time.Duration(minutes)*time.Minute)))
	}
	used := func(minutes int) []string {
		t.Helper()
		names, err := w.ListUsedClouds(t.Context(), sixOClock.Add(time.Duration(minutes)*time.Minute))
		must(t, err)
		return names
	}
	record("aws", 0)
	record("docker", 120)
	stored := w.raw(t)["/clouds/docker"]
	record("docker", 125)
	if again := w.raw(t)["/clouds/docker"]; again != stored {
		t.Errorf("renewed after 5 minutes: %s, then %s", stored, again)
	}
	record("aws", 9)
	if got := used(5); !slices.Equal(got, []string{"aws", "docker"}) {
		t.Errorf("used since minute 5: %v", got)
	}
	if got := used(-5); !slices.Equal(got, []string{"aws", "docker"}) {
		t.Errorf("used since minute -5: %v", got)
	}
	if got := used(60); !slices.Equal(got, []string{"docker"}) {
		t.Errorf("used since minute 60: %v", got)
	}
	record("docker", 180)
	if got := used(180); !slices.Equal(got, []string{"docker"}) {
		t.Errorf("used since minute 180: %v", got)
	}
	_, err := w.etcd.Put(t.Context(), w.prefix+"/clouds/gcp", "nonsense")
	must(t, err)
	if got := used(300); !slices.Equal(got, []string{"gcp"}) {
		t.Errorf("with an invalid record: %v", got)
	}
}

func TestCorruptClusterNames(t *testing.T) {
	w := newWorld(t)
	w.created(t, "good", "u1")
	for _, key := range []string{"/clusters/bad", "/clusters/worse", "/machines/u1/0000"} {
		_, err := w.etcd.Put(t.Context(), w.prefix+key, "nonsense")
		must(t, err)
	}
	all, err := w.ListClustersWithMachines(t.Context())
	if got := store.CorruptClusterNames(err); len(all) != 1 || !slices.Equal(got, []string{"bad", "worse"}) {
		t.Errorf("%d clusters, corrupt %v: %v", len(all), got, err)
	}
	if got := store.CorruptClusterNames(nil); got != nil {
		t.Errorf("without an error: %v", got)
	}
}
