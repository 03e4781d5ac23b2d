package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// storeDamagedCluster stores a READY cluster with a machine, and replaces its record with a damaged one.
func storeDamagedCluster(t *testing.T, name string, keep func(int) int) {
	t.Helper()
	c := api.NewCluster(name, "uid-of-"+name, api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil,
		time.Now().UTC())
	c, err := world.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m := api.NewMachine(name, 0, "", "inc", api.Placement{Cloud: "docker"}, time.Now().UTC())
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	if err := world.SucceedCreate(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	etcd := plainEtcd(t)
	key := strings.TrimRight(world.Config.Etcd.Prefix, "/") + "/clusters/" + name
	got, err := etcd.Get(t.Context(), key)
	if err != nil || len(got.Kvs) != 1 {
		t.Fatalf("%s: %v, %v", key, got, err)
	}
	value := string(got.Kvs[0].Value)
	if _, err := etcd.Put(t.Context(), key, value[:keep(len(value))]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the other tests list all clusters
		_, _ = etcd.Delete(context.Background(), key)
	})
}

// plainEtcd returns a client for changes that the store does not make.
func plainEtcd(t *testing.T) *clientv3.Client {
	t.Helper()
	tls, err := world.Config.Etcd.TLS.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: world.Config.Etcd.Endpoints, TLS: tls,
		DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

// deleteEtcdPrefix deletes all keys under a part of the prefix.
func deleteEtcdPrefix(t *testing.T, under string) {
	t.Helper()
	prefix := strings.TrimRight(world.Config.Etcd.Prefix, "/")
	if gone, err := plainEtcd(t).Delete(t.Context(), prefix+under, clientv3.WithPrefix()); err != nil ||
		gone.Deleted == 0 {
		t.Fatalf("no keys under %s: %v", under, err)
	}
}

func TestDamagedClusterIsShownAsFarAsReadable(t *testing.T) {
	p := newExternalUser(t)
	storeDamagedCluster(t, "torn", func(n int) int { return n / 2 })
	for _, args := range [][]string{{"get", "clusters"}, {"get", "cluster", "torn"}, {"get", "clusters", "-o", "wide"},
		{"describe", "cluster", "torn"}} {
		got := p.run(args...)
		if got.code != ExitFailed || !strings.Contains(got.out, "torn") || !strings.Contains(got.err, "torn") ||
			!strings.Contains(got.err, "invalid data in etcd") {
			t.Errorf("%v: code %d\n%s\n%s", args, got.code, got.out, got.err)
		}
	}
	got := p.run("describe", "cluster", "torn")
	for _, want := range []string{"uid-of-torn", "sky-torn-0", "docker"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in\n%s", want, got.out)
		}
	}
	if !strings.Contains(got.err, "skyctl delete cluster torn") {
		t.Errorf("no instructions in: %s", got.err)
	}
}

func TestDamagedClusterIsDeletedByItsReadableFields(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeDamagedCluster(t, "shred", func(int) int { return 0 })
	got := p.run("delete", "cluster", "shred", "--yes", "--wait")
	if got.code != ExitOK || !strings.Contains(got.out, "Deleted cluster shred.") ||
		!strings.Contains(got.err, "(UID uid-of-shred, 1 machine)") {
		t.Errorf("code %d\n%s\n%s", got.code, got.out, got.err)
	}
	if got := p.run("describe", "cluster", "shred"); got.code != ExitNotFound {
		t.Errorf("it is still there: code %d\n%s", got.code, got.out)
	}
}

func TestRecordWithoutCloudOrUIDNeedsPurge(t *testing.T) {
	p := newExternalUser(t)
	storeDamagedCluster(t, "dust", func(int) int { return 0 })
	ref := api.Ref{Name: "dust", UID: "uid-of-dust"}
	deleteEtcdPrefix(t, "/machines/"+ref.UID+"/")
	if got := p.run("delete", "cluster", "dust", "--yes"); got.code != ExitConflict ||
		!strings.Contains(got.err, "--purge") {
		t.Errorf("code %d\n%s\n%s", got.code, got.out, got.err)
	}
	got := p.run("delete", "cluster", "dust", "--yes", "--purge")
	if got.code != ExitOK || !strings.Contains(got.out, "skyctl get orphans") {
		t.Errorf("code %d\n%s\n%s", got.code, got.out, got.err)
	}
	if got := p.run("get", "cluster", "dust"); got.code != ExitNotFound {
		t.Errorf("it is still there: code %d\n%s", got.code, got.out)
	}
}

func TestSweepThatChecksNothingFails(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	c := api.NewCluster("unseen", "uid-of-unseen", api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil,
		time.Now().UTC())
	c, err := world.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := world.SucceedCreate(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	invalid := api.Drift{Reason: api.DriftInvalid, Message: "no machine on record in place 0",
		Next: "the cluster is left alone"}
	for _, found := range []operation.DriftedCluster{
		{Cluster: "unseen", Why: "etcd was slow", Unseen: true},
		{Cluster: "unseen", Phase: api.PhaseReady, Why: "its record is invalid", Unseen: true,
			Drift: []api.Drift{invalid}},
	} {
		world.SetBehavior("unseen", skydstub.Behavior{Sweep: func(context.Context, *skydstub.World,
			operation.SweepInput) (operation.SweepResult, error) {
			return operation.SweepResult{Looked: 1, Drifted: []operation.DriftedCluster{found}}, nil
		}})
		for _, args := range [][]string{{"reconcile", "unseen"}, {"reconcile", "unseen", "--wait"}} {
			got := p.run(args...)
			if got.code != ExitFailed || strings.Contains(got.out+got.err, "is in sync") {
				t.Errorf("%v: code %d\n%s\n%s", args, got.code, got.out, got.err)
			}
		}
	}
}

func TestDamagedClusterIsAlwaysShownAsDAMAGED(t *testing.T) {
	p := newExternalUser(t)
	storeDamagedCluster(t, "nicked", func(n int) int { return n * 95 / 100 })
	for _, args := range [][]string{
		{"get", "cluster", "nicked", "-o", "json"}, {"get", "clusters", "-o", "json"},
		{"describe", "cluster", "nicked", "-o", "json"},
	} {
		got := p.run(args...)
		if got.code != ExitFailed || !strings.Contains(got.out, `"phase": "DAMAGED"`) ||
			strings.Contains(got.out, `"phase": "READY"`+"\n      }") {
			t.Errorf("%v: code %d\n%s\n%s", args, got.code, got.out, got.err)
		}
	}
	got := p.run("describe", "cluster", "nicked")
	if !strings.Contains(got.out, "DAMAGED (recorded as READY)") ||
		strings.Contains(got.out, "kubectl get nodes") ||
		!strings.Contains(got.out, "  restore etcd from a backup, or:\n  skyctl delete cluster nicked\n") {
		t.Errorf("code %d\n%s", got.code, got.out)
	}
}

func TestUnreadableCreationTimeIsOmitted(t *testing.T) {
	p := newExternalUser(t)
	storeDamagedCluster(t, "blank", func(int) int { return 0 })
	got := p.run("get", "cluster", "blank", "-o", "json")
	if got.code != ExitFailed || strings.Contains(got.out, "0001-01-01") ||
		!strings.Contains(got.out, `"phase": "DAMAGED"`) {
		t.Errorf("code %d\n%s", got.code, got.out)
	}
}

func TestCommandsOnADamagedClusterSayWhatToDo(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	storeDamagedCluster(t, "cracked", func(n int) int { return n / 2 })
	for _, args := range [][]string{
		{"reconcile", "cracked"}, {"reconcile", "cracked", "--wait"}, {"pause", "reconcile", "cracked"},
		{"create", "cluster", "cracked", "--provision", "--cloud", "docker"}, {"get", "clusters"},
	} {
		got := p.run(args...)
		if got.code != ExitFailed || !strings.Contains(got.err, "skyctl delete cluster cracked") ||
			!strings.Contains(got.err, "estore etcd") {
			t.Errorf("%v: code %d\n%s\n%s", args, got.code, got.out, got.err)
		}
	}
}
