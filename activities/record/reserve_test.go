package record

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var etcd string

func TestMain(m *testing.M) { etcdserver.Main(m, &etcd) }

func TestReserveMakesFewRequestsHoweverManyMachines(t *testing.T) {
	client, traffic := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/reserve", make([]byte, 32)), Now: time.Now}
	calls := map[int]int64{}
	for _, count := range []int{3, 250} {
		spec := api.GroupSpec{Cloud: "docker", NumNodes: count, Provision: true}
		c, err := a.Store.CreateCluster(t.Context(), api.NewCluster("a", "u1", spec, nil, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		traffic.Reset()
		reserved, err := a.Reserve(t.Context(),
			ReserveInput{Cluster: c.Ref(), Placement: api.Placement{Cloud: "docker"}})
		if err != nil || len(reserved) != count {
			t.Fatalf("%d of %d machines: %v", len(reserved), count, err)
		}
		calls[count] = traffic.Calls()
		usable, err := a.Store.ListUsableSecrets(t.Context(), c.Ref())
		if err != nil || len(usable) != count+2 {
			t.Errorf("%d secrets of %d machines: %v", len(usable), count, err)
		}
		if err := a.Store.DeleteCluster(t.Context(), c.Ref()); err != nil {
			t.Fatal(err)
		}
	}
	if calls[250] > calls[3] {
		t.Errorf("requests by machines: %v", calls)
	}
}
