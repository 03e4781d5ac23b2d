package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// cut truncates the value of a key.
func (w world) cut(t testing.TB, key string, length int) {
	t.Helper()
	_, err := w.etcd.Put(t.Context(), w.prefix+key, w.raw(t)[key][:length])
	must(t, err)
}

func TestSalvageOfTruncatedCluster(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "uid-a")
	other := w.created(t, "b", "uid-b")
	must(t, w.PutMachines(t.Context(), other, machines("b", 2, "x")))
	_, err := w.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
		c.Status.Placement = &api.Placement{Cloud: "aws", Region: "us-east-1"}
		c.Status.SetPhase(api.PhaseReady, "", time.Now().UTC())
		return nil
	})
	must(t, err)
	ms := machines("a", 2, "x")
	for i := range ms {
		ms[i].Placement.Cloud = "aws"
	}
	must(t, w.PutMachines(t.Context(), r, ms))
	whole := w.raw(t)["/clusters/a"]
	for length := len(whole) - 1; length >= 0; length -= 7 {
		_, err := w.etcd.Put(t.Context(), w.prefix+"/clusters/a", whole[:length])
		must(t, err)
		c, damage, err := w.SalvageCluster(t.Context(), "a")
		must(t, err)
		if damage == nil || c.Metadata.Name != "a" || c.Metadata.UID != "uid-a" || len(c.Status.Machines) != 2 {
			t.Fatalf("cut after %d bytes of %d (%s): %+v, %v", length, len(whole), whole[:length], c, damage)
		}
	}
	w.cut(t, "/clusters/a", 0)
	c, err := w.RewriteClusterForDelete(t.Context(), "a", time.Now().UTC())
	must(t, err)
	if c.Status.Phase != api.PhaseDeleting || c.Status.Placement == nil || c.Spec.Cloud != "aws" &&
		c.Status.Placement.Cloud != "aws" {
		t.Errorf("%+v", c)
	}
	if got, err := w.ReadCluster(t.Context(), "a"); err != nil || got.Status.Phase != api.PhaseDeleting ||
		len(got.Status.Machines) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if kept, ok := w.raw(t)["/damaged/clusters/a"]; !ok || kept != "" {
		t.Errorf("the copy is %q, %v", kept, ok)
	}
	must(t, w.DeleteCluster(t.Context(), r))
	for key := range w.raw(t) {
		if !strings.Contains(key, "/clusters/b") && !strings.Contains(key, "uid-b") {
			t.Errorf("%s is left", key)
		}
	}
}

func TestTruncatedMachineIsSetAsideForDelete(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "uid-a")
	must(t, w.PutMachines(t.Context(), r, machines("a", 2, "x")))
	w.cut(t, "/machines/uid-a/0001", 10)
	c, damage, err := w.SalvageCluster(t.Context(), "a")
	if err != nil || damage == nil || len(damage.Keys) != 1 || len(c.Status.Machines) != 1 ||
		c.Status.Phase != api.PhaseInit {
		t.Fatalf("%+v, %v, %v", c, damage, err)
	}
	if _, err := w.RewriteClusterForDelete(t.Context(), "a", time.Now().UTC()); err != nil {
		t.Fatal(err)
	}
	if got, err := w.ReadCluster(t.Context(), "a"); err != nil || got.Status.Phase != api.PhaseDeleting ||
		len(got.Status.Machines) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, w.DeleteCluster(t.Context(), r))
	if left := w.raw(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestIntactClusterIsNotRewritten(t *testing.T) {
	w := newWorld(t)
	w.created(t, "a", "uid-a")
	before := w.raw(t)
	c, err := w.RewriteClusterForDelete(t.Context(), "a", time.Now().UTC())
	if err != nil || c.Status.Phase != api.PhaseInit || w.raw(t)["/clusters/a"] != before["/clusters/a"] {
		t.Errorf("%+v, %v", c, err)
	}
	if err := w.ForgetDamagedCluster(t.Context(), "a"); err == nil {
		t.Error("an intact cluster was removed")
	}
	wantErr[*store.NotFoundError](t, second(w.RewriteClusterForDelete(t.Context(), "none", time.Now())))
}

func TestForgetDamagedClusterKeepsCopy(t *testing.T) {
	w := newWorld(t)
	w.created(t, "a", "uid-a")
	w.cut(t, "/clusters/a", 5)
	wantErr[*store.NoOwnerError](t, second(w.RewriteClusterForDelete(t.Context(), "a", time.Now())))
	must(t, w.RecordCloudUse(t.Context(), "aws", time.Now().Add(-24*time.Hour)))
	now := time.Now().UTC()
	must(t, w.RenewCloudUse(t.Context(), now))
	if used, err := w.ListUsedClouds(t.Context(), now.Add(-time.Minute)); err != nil ||
		!slices.Equal(used, []string{"aws"}) {
		t.Errorf("%v, %v", used, err)
	}
	must(t, w.ForgetDamagedCluster(t.Context(), "a"))
	wantErr[*store.NotFoundError](t, second(w.ReadCluster(t.Context(), "a")))
	if len(w.raw(t)["/damaged/clusters/a"]) != 5 {
		t.Errorf("no copy: %v", w.raw(t))
	}
}

func TestUnownedRecordsAreSetAsideWithCopy(t *testing.T) {
	w := newWorld(t)
	kept, lost := w.created(t, "kept", "uid-kept"), w.created(t, "lost", "uid-lost")
	for _, r := range []api.Ref{kept, lost} {
		must(t, w.PutMachines(t.Context(), r, machines(r.Name, 2, "x")))
		must(t, w.PutSecret(t.Context(), r, store.SecretSSHKey, []byte("key")))
	}
	now := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	if found, err := w.FindUnownedRecords(t.Context(), now); err != nil || len(found) != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	whole := w.raw(t)
	_, err := w.etcd.Delete(t.Context(), w.prefix+"/clusters/lost")
	must(t, err)
	for i := range 2 {
		found, err := w.FindUnownedRecords(t.Context(), now.Add(time.Duration(i)*time.Hour))
		if err != nil || len(found) != 1 || found[0].UID != "uid-lost" || found[0].Records != 3 ||
			len(found[0].Machines) != 2 || !found[0].FirstSeen.Equal(now) {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	w.cut(t, "/clusters/kept", 10)
	wantErr[*store.CorruptError](t, second(w.FindUnownedRecords(t.Context(), now)))
	wantErr[*store.CorruptError](t, second(w.SetAsideUnownedRecords(t.Context(), "uid-lost")))
	_, err = w.etcd.Put(t.Context(), w.prefix+"/clusters/kept", whole["/clusters/kept"])
	must(t, err)
	for uid, want := range map[string]bool{"uid-kept": false, "uid-lost": true} {
		if done, err := w.SetAsideUnownedRecords(t.Context(), uid); err != nil || done != want {
			t.Errorf("%s: %v, %v", uid, done, err)
		}
	}
	after := w.raw(t)
	for key, value := range whole {
		switch {
		case !strings.Contains(key, "lost") && after[key] != value:
			t.Errorf("%s changed", key)
		case strings.Contains(key, "uid-lost") && (after["/damaged"+key] != value || after[key] != ""):
			t.Errorf("%s has the copy %q and is %q", key, after["/damaged"+key], after[key])
		}
	}
}

func TestSalvageKeepsWhatFollowsAFieldOfAWrongType(t *testing.T) {
	for name, damage := range map[string]func(string) string{
		"of a pool": func(s string) string { return strings.Replace(s, `"pools":[{`, `"pools":[{"replicas":"x",`, 1) },
		"of a text": func(s string) string {
			return strings.Replace(s, `"pools":[{`, `"pools":[{"drain_timeout":"never",`, 1)
		},
		"of a flat spec": func(s string) string {
			return strings.Replace(s, `"spec":{`, `"spec":{"num_nodes":3,"cpus":4,`, 1)
		},
	} {
		w := newWorld(t)
		r := w.created(t, "a", "uid-a")
		must(t, w.PutMachines(t.Context(), r, machines("a", 2, "x")))
		_, err := w.UpdateCluster(t.Context(), r, func(c *api.Cluster) error {
			c.Spec.Cloud = "aws"
			c.Status.Placement = &api.Placement{Cloud: "aws", Region: "us-east-1"}
			c.Status.SetPhase(api.PhaseReady, "", time.Now().UTC())
			return nil
		})
		must(t, err)
		whole := w.raw(t)["/clusters/a"]
		bad := damage(whole)
		if bad == whole {
			t.Fatalf("%s: not damaged: %s", name, whole)
		}
		_, err = w.etcd.Put(t.Context(), w.prefix+"/clusters/a", bad)
		must(t, err)
		c, why, err := w.SalvageCluster(t.Context(), "a")
		must(t, err)
		if why == nil || c.Metadata.UID != "uid-a" || len(c.Status.Machines) != 2 || c.Spec.Cloud != "aws" ||
			c.Status.Phase != api.PhaseReady || c.Status.Placement == nil || c.Status.Placement.Region != "us-east-1" {
			t.Errorf("%s: %+v, %v", name, c, why)
		}
	}
}
