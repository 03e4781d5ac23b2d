package client

import (
	"os"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// world is shared by all tests of this package; each test has its own clusters.
var world *skydstub.World

func TestMain(m *testing.M) { os.Exit(skydstub.RunTests(m, &world)) }

func newClient(t *testing.T) *Client {
	t.Helper()
	cfg := *world.Config
	c := New(&cfg, time.Now)
	c.checkEvery = 50 * time.Millisecond
	t.Cleanup(c.Close)
	return c
}

func newWantedCluster(name string) *api.Cluster {
	return api.NewCluster(name, "", api.GroupSpec{Cloud: "docker", CPUs: "2+", NumNodes: 3, Provision: true}, nil,
		time.Now())
}

func phaseOf(t *testing.T, name string) api.Phase {
	t.Helper()
	c, err := world.Store.ReadCluster(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Status.Phase
}

// patience is longer than what a test waits for takes on a busy computer, unless it is stuck.
const patience = 5 * time.Minute

func ignore(Progress)   {}
func ignoreText(string) {}
