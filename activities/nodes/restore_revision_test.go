package nodes

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var etcd string

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

func TestEveryRestoreHasAHigherRevisionThanTheCluster(t *testing.T) {
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/restore-revision", make([]byte, 32)), Now: time.Now}
	c, err := a.Store.CreateCluster(t.Context(), api.NewCluster("a", "u1",
		api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	old := api.Snapshot{Name: "old", Cluster: "a", ClusterUID: "u1", Revision: 100}
	newer := api.Snapshot{Name: "newer", Cluster: "a", ClusterUID: "u1", Revision: 5000}
	for _, s := range []api.Snapshot{old, newer} {
		if err := a.Store.CreateSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	last := newer.Revision
	for n := range 3 { // each time from the same old snapshot
		got, err := a.reserveRevision(t.Context(), c.Ref(), old)
		if err != nil || got < last+raiseRevisionBy {
			t.Errorf("restore %d gets revision %d after %d: %v", n, got, last, err)
		}
		last = got
	}
}
