package nodes

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// TestCheckReadsTheVariablesAlone has a registry whose secret is missing.
func TestCheckReadsTheVariablesAlone(t *testing.T) {
	client, _ := etcdserver.NewCountedClient(t, etcd)
	a := &Activities{Store: store.New(client, "/"+t.Name(), make([]byte, 32)), Now: time.Now}
	c := api.NewCluster("a", "u1", api.GroupSpec{Cloud: "docker", NumNodes: 1}, nil, time.Now())
	c, err := a.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Spec.RKE2 = api.RKE2Settings{Registries: []api.Registry{{Host: "mirror.example.com", Secret: "login"}},
		Env: []api.EnvVariable{{Name: "NO_PROXY", Value: ".corp"}, {Name: "HTTPS_PROXY", Secret: "proxy", Key: "url"}}}
	writeSecret := func(value string) {
		t.Helper()
		values := map[string][]byte{"url": []byte(value)}
		if _, err := a.Store.WriteNamedSecret(t.Context(), "proxy", values, true, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	finding := func(ctx context.Context) api.Finding {
		t.Helper()
		env, err := a.readRKE2Env(ctx, c)
		if err == nil {
			t.Fatalf("got %v", env)
		}
		return describeUnreadableEnv(err)
	}
	const again = "create the secret again"
	if f := finding(t.Context()); !strings.Contains(f.Fix, again) || !strings.Contains(f.Message, "proxy") {
		t.Errorf("no secret: %+v", f)
	}
	writeSecret("http://a\nb")
	if f := finding(t.Context()); !strings.Contains(f.Fix, again) || !strings.Contains(f.Message, "than one line") {
		t.Errorf("two lines: %+v", f)
	}
	writeSecret("http://proxy:3128\n")
	countKeys := func() int64 {
		t.Helper()
		got, err := client.Get(t.Context(), "/"+t.Name(), clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return got.Count
	}
	before := countKeys()
	env, err := a.readRKE2Env(t.Context(), c)
	if want := map[string]string{"NO_PROXY": ".corp", "HTTPS_PROXY": "http://proxy:3128"}; err != nil ||
		!maps.Equal(env, want) {
		t.Errorf("got %v, %v", env, err)
	}
	if after := countKeys(); after != before {
		t.Errorf("etcd had %d keys, and has %d", before, after)
	}
	if err := a.addRKE2Settings(t.Context(), c, &rke2.Node{}); err == nil {
		t.Error("RKE2 gets its settings without the login of a registry")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if f := finding(ended); strings.Contains(f.Fix, again) {
		t.Errorf("etcd does not answer: %+v", f)
	}
}
