package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
	"github.com/sky-shift/skyctl/test/fixture"
)

// shared is the etcd that most tests use, each under its own prefix.
var shared string

func TestMain(m *testing.M) { etcdserver.Main(m, &shared) }

var prefixes atomic.Int64

func testKey(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// world is a store under its own prefix, and a plain etcd client.
type world struct {
	*store.Store
	etcd   *clientv3.Client
	prefix string
}

func newWorld(t testing.TB) world {
	t.Helper()
	prefix := fmt.Sprintf("/t%d", prefixes.Add(1))
	return world{Store: open(t, prefix, testKey("a")), etcd: plain(t), prefix: prefix}
}

func open(t testing.TB, prefix string, key []byte) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Endpoints: []string{shared}, Prefix: prefix, SecretsKey: key,
		DialTimeout: 10 * time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func plain(t testing.TB) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{shared}})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// raw returns all keys and values under the world's prefix.
func (w world) raw(t testing.TB) map[string]string {
	t.Helper()
	resp, err := w.etcd.Get(t.Context(), w.prefix+"/", clientv3.WithPrefix())
	must(t, err)
	all := map[string]string{}
	for _, kv := range resp.Kvs {
		all[strings.TrimPrefix(string(kv.Key), w.prefix)] = string(kv.Value)
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T), want a %T", err, err, e)
	}
	return e
}

func cluster(name, uid string) *api.Cluster {
	c := &api.Cluster{APIVersion: api.APIVersion, Kind: api.Kind}
	c.Metadata = api.Metadata{Name: name, UID: uid, Labels: map[string]string{"team": "ml"},
		CreatedAt: time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)}
	c.Spec = api.NewClusterSpec(api.GroupSpec{Manager: "k8", Cloud: "docker", CPUs: "2+", NumNodes: 3, Provision: true})
	c.CompleteStored()
	c.Status.Phase = api.PhaseInit
	return c
}

func machine(name string, index int, incarnation string) api.Machine {
	n := api.MachineName(name, index)
	return api.Machine{Index: index, Name: n, Incarnation: incarnation, NodeName: n + "-" + incarnation,
		Role: fixture.RoleAt(index), State: api.MachineReserved}
}

func machines(name string, n int, incarnation string) []api.Machine {
	var all []api.Machine
	for i := range n {
		all = append(all, machine(name, i, incarnation))
	}
	return all
}

func ref(c *api.Cluster) api.Ref { return api.Ref{Name: c.Metadata.Name, UID: c.Metadata.UID} }

// created stores a new cluster.
func (w world) created(t testing.TB, name, uid string) api.Ref {
	t.Helper()
	c, err := w.CreateCluster(t.Context(), cluster(name, uid))
	must(t, err)
	return ref(c)
}
