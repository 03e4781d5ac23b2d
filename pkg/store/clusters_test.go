package store_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestConcurrentCallersGetOneInstallationID(t *testing.T) {
	w := newWorld(t)
	ids := make([]string, 20)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := w.EnsureInstallationID(t.Context())
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("ids differ: %v", ids)
		}
	}
}

func TestClusterRoundTrip(t *testing.T) {
	w := newWorld(t)
	in := cluster("a", "u1")
	in.Status.Machines = machines("a", 2, "xxxxx") // not stored with the cluster
	in.Status.Resources.CPUs = api.Amount{Available: 2.01, Total: 4}
	out, err := w.CreateCluster(t.Context(), in)
	must(t, err)
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if !reflect.DeepEqual(out, got) {
		t.Errorf("CreateCluster returned %+v, ReadCluster %+v", out, got)
	}
	if got.Metadata.Revision == 0 || got.Status.Machines != nil {
		t.Errorf("revision %d, machines %v", got.Metadata.Revision, got.Status.Machines)
	}
	want := *in
	want.Status.Machines, want.Metadata.Revision = nil, got.Metadata.Revision
	if !reflect.DeepEqual(&want, got) {
		t.Errorf("stored %+v, read %+v", want, got)
	}
	if raw := w.raw(t)["/clusters/a"]; strings.Contains(raw, "xxxxx") || strings.Contains(raw, "revision") {
		t.Errorf("the stored object contains machines or a revision: %s", raw)
	}
}

func TestOneConcurrentCreateWins(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[string]bool{}
	lostTo := map[string]int{}
	for i := range 30 {
		uid := fmt.Sprintf("u%d", i)
		wg.Go(func() {
			_, err := w.CreateCluster(t.Context(), cluster("a", uid))
			mu.Lock()
			defer mu.Unlock()
			var exists *store.ExistsError
			switch {
			case err == nil:
				won[uid] = true
			case errors.As(err, &exists):
				lostTo[exists.Existing.Metadata.UID]++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if len(won) != 1 || !won[got.Metadata.UID] || lostTo[got.Metadata.UID] != 29 {
		t.Errorf("won %v, lost to %v, stored %s", won, lostTo, got.Metadata.UID)
	}
}

func TestCreateIsRepeatable(t *testing.T) {
	w := newWorld(t)
	w.created(t, "a", "u1")
	again, err := w.CreateCluster(t.Context(), cluster("a", "u1"))
	must(t, err)
	if again.Metadata.UID != "u1" {
		t.Errorf("got %s", again.Metadata.UID)
	}
	err = wantErr[*store.ExistsError](t, second(w.CreateCluster(t.Context(), cluster("a", "u2"))))
	if got := err.Error(); got != `cluster "a" already exists (INIT)` {
		t.Errorf("got error %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

func TestNoConcurrentUpdateIsLost(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	other := open(t, w.prefix, nil)
	var wg sync.WaitGroup
	const writers, each = 50, 4
	for i := range writers {
		s := w.Store
		if i%2 == 1 {
			s = other
		}
		wg.Go(func() {
			for range each {
				_, err := s.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
					c.Status.TunnelPort++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if got.Status.TunnelPort != writers*each {
		t.Errorf("%d of %d updates were stored", got.Status.TunnelPort, writers*each)
	}
}

func TestUpdateWithoutChangeIsNotWritten(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	before, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	got, err := w.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseInit, "", time.Now())
		return nil
	})
	must(t, err)
	if !reflect.DeepEqual(got, before) {
		t.Errorf("%+v became %+v", before, got)
	}
}

func TestUpdateReturnsWrittenRevision(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	got, err := w.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseReady, "done", time.Now().UTC().Round(0))
		return nil
	})
	must(t, err)
	stored, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if got.Metadata.Revision != stored.Metadata.Revision || stored.Status.Phase != api.PhaseReady {
		t.Errorf("returned %+v, stored %+v", got, stored)
	}
}

func TestRejectedUpdateStoresNothing(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	before := w.raw(t)["/clusters/a"]
	no := errors.New("no")
	for what, change := range map[string]func(*api.Cluster) error{
		"an error":      func(c *api.Cluster) error { c.Spec.Region = "9"; return no },
		"another name":  func(c *api.Cluster) error { c.Metadata.Name = "b"; return nil },
		"another UID":   func(c *api.Cluster) error { c.Metadata.UID = "u2"; return nil },
		"unknown phase": func(c *api.Cluster) error { c.Status.Phase = "HAPPY"; return nil },
		"a version":     func(c *api.Cluster) error { c.APIVersion = "v9"; return nil },
	} {
		_, err := w.UpdateCluster(t.Context(), r, change)
		if err == nil {
			t.Errorf("%s was accepted", what)
		}
		if what == "an error" && err != no {
			t.Errorf("got error %v", err)
		}
	}
	if after := w.raw(t)["/clusters/a"]; after != before {
		t.Errorf("%s became %s", before, after)
	}
}

func TestNewClusterOfSameNameIsNotChanged(t *testing.T) {
	w := newWorld(t)
	old := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), old, machines("a", 2, "aaaaa")))
	must(t, w.PutSecret(t.Context(), old, store.SecretKubeconfig, []byte("old")))
	must(t, w.DeleteCluster(t.Context(), old))
	cur := w.created(t, "a", "u2")
	must(t, w.PutMachines(t.Context(), cur, machines("a", 1, "bbbbb")))
	must(t, w.PutSecret(t.Context(), cur, store.SecretKubeconfig, []byte("new")))
	before := w.raw(t)

	nothing := func(*api.Cluster) error { return nil }
	wantErr[*store.NotFoundError](t, second(w.UpdateCluster(t.Context(), old, nothing)))
	wantErr[*store.NotFoundError](t, w.PutMachines(t.Context(), old, machines("a", 3, "ccccc")))
	wantErr[*store.NotFoundError](t, second(w.ReserveMachines(t.Context(), old, machines("a", 3, "ccccc"), nil)))
	wantErr[*store.NotFoundError](t, second(w.UpdateMachine(t.Context(), old, 0, "aaaaa",
		func(*api.Machine) error { return nil })))
	wantErr[*store.NotFoundError](t, w.PutSecret(t.Context(), old, store.SecretKubeconfig, []byte("x")))
	wantErr[*store.NotFoundError](t, second(w.CreateSecret(t.Context(), old, store.SecretSSHKey, []byte("x"))))
	wantErr[*store.NotFoundError](t, second(w.ReadSecret(t.Context(), old, store.SecretKubeconfig)))
	must(t, w.DeleteCluster(t.Context(), old))
	if after := w.raw(t); !reflect.DeepEqual(before, after) {
		t.Errorf("the new cluster was changed:\n%v\n%v", before, after)
	}
}

func TestDeleteRemovesOnlyTheClustersKeys(t *testing.T) {
	w := newWorld(t)
	keep := w.created(t, "keep", "u") // its UID is a prefix of the other's
	must(t, w.PutMachines(t.Context(), keep, machines("keep", 2, "aaaaa")))
	must(t, w.PutSecret(t.Context(), keep, store.SecretKubeconfig, []byte("k")))
	before := w.raw(t)

	r := w.created(t, "gone", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("gone", 250, "bbbbb")))
	for i := range 150 {
		must(t, w.PutSecret(t.Context(), r, store.SecretHostKey(fmt.Sprint(i)), []byte("k")))
	}
	must(t, w.DeleteCluster(t.Context(), r))
	must(t, w.DeleteCluster(t.Context(), r))
	if after := w.raw(t); !reflect.DeepEqual(before, after) {
		t.Errorf("before %d keys, after %d", len(before), len(after))
	}
	wantErr[*store.NotFoundError](t, second(w.ReadCluster(t.Context(), "gone")))
	if err := w.DeleteCluster(t.Context(), api.Ref{Name: "keep"}); err == nil {
		t.Error("a delete without a UID was accepted: it would delete all machines")
	}
}

func TestDeleteRemovesLeftoversOfDeletedCluster(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "aaaaa")))
	_, err := w.etcd.Delete(t.Context(), w.prefix+"/clusters/a")
	must(t, err)
	must(t, w.DeleteCluster(t.Context(), r))
	if left := w.raw(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestListReturnsReadableAndNamesCorruptClusters(t *testing.T) {
	w := newWorld(t)
	const n = 300 // enough for several goroutines
	for i := range n {
		c := cluster(fmt.Sprintf("c%03d", i), fmt.Sprintf("u%d", i))
		_, err := w.CreateCluster(t.Context(), c)
		must(t, err)
	}
	must(t, w.PutMachines(t.Context(), api.Ref{Name: "c007", UID: "u7"}, machines("c007", 3, "aaaaa")))
	put := func(key, value string) {
		_, err := w.etcd.Put(t.Context(), w.prefix+key, value)
		must(t, err)
	}
	put("/clusters/c100", "{")
	put("/clusters/c200", strings.Replace(w.raw(t)["/clusters/c200"], "skyctl.sky-shift.org/v1",
		"skyctl.sky-shift.org/v9", 1))
	put("/clusters/c250", w.raw(t)["/clusters/c251"])
	put("/clusters/c001", strings.Replace(w.raw(t)["/clusters/c001"], "{", `{"later":1,`, 1)) // unknown field: accepted

	for what, list := range map[string]func() ([]api.Cluster, error){
		"clusters":      func() ([]api.Cluster, error) { return w.ListClusters(t.Context()) },
		"summaries":     func() ([]api.Cluster, error) { return w.ListClusterSummaries(t.Context()) },
		"with machines": func() ([]api.Cluster, error) { return w.ListClustersWithMachines(t.Context()) },
	} {
		got, err := list()
		bad := wantErr[*store.CorruptError](t, err)
		want := []string{w.prefix + "/clusters/c100", w.prefix + "/clusters/c200", w.prefix + "/clusters/c250"}
		if !reflect.DeepEqual(bad.Keys, want) {
			t.Errorf("%s: corrupt keys %v, want %v", what, bad.Keys, want)
		}
		for _, hint := range append(want, "v9", "c251") {
			if !strings.Contains(bad.Error(), hint) || strings.Contains(bad.Error(), "\n") {
				t.Errorf("%s: %q does not contain %s in one line", what, bad.Error(), hint)
			}
		}
		if len(got) != n-3 {
			t.Fatalf("%s: %d clusters, want %d", what, len(got), n-3)
		}
		for i := 1; i < len(got); i++ {
			if got[i-1].Metadata.Name >= got[i].Metadata.Name {
				t.Fatalf("%s: not in order at %d", what, i)
			}
		}
		m := len(got[7].Status.Machines)
		if want := map[string]int{"clusters": 0, "summaries": 0, "with machines": 3}[what]; m != want {
			t.Errorf("%s: %d machines, want %d", what, m, want)
		}
	}
	wantErr[*store.CorruptError](t, second(w.ReadCluster(t.Context(), "c100")))
	_, err := w.UpdateCluster(t.Context(), api.Ref{Name: "c200", UID: "u200"}, func(*api.Cluster) error { return nil })
	wantErr[*store.CorruptError](t, err)
}

func TestReadClusterIncludesMachines(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutMachines(t.Context(), r, machines("a", 12, "aaaaa")))
	_, err := w.UpdateMachine(t.Context(), r, 11, "aaaaa",
		func(m *api.Machine) error { m.State = api.MachineReady; return nil })
	must(t, err)
	got, err := w.ReadCluster(t.Context(), "a")
	must(t, err)
	if len(got.Status.Machines) != 12 || got.Status.Machines[11].State != api.MachineReady {
		t.Fatalf("machines: %+v", got.Status.Machines)
	}
	for i, m := range got.Status.Machines {
		if m.Index != i {
			t.Errorf("index %d has machine %d", i, m.Index)
		}
	}
}
