package head

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/node"
)

// fakeNodes is an apiserver with one Node, which is uninitialised until it is patched.
type fakeNodes struct {
	mu      sync.Mutex
	patches []map[string]any
}

func (f *fakeNodes) GetNode(context.Context, string) (kubeapi.Node, error) {
	n := newNode(false)
	if len(f.patched()) == 0 {
		n.Spec.Taints = []kubeapi.Taint{{Key: node.UninitializedTaint, Value: "true", Effect: "NoSchedule"}}
	}
	return *n, nil
}

func (f *fakeNodes) PatchNode(_ context.Context, _ *kubeapi.Node, patch map[string]any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.patches = append(f.patches, patch)
	return nil
}

func (f *fakeNodes) patched() []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.patches
}

func (c *cloudController) isBusy(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[name]
}

func TestNodeIsInitialisedOnceAndNotBeforeItsTime(t *testing.T) {
	api := &fakeNodes{}
	c := newCloudController(api)
	c.modes = hostmode.Modes{Dir: t.TempDir()}
	file := filepath.Join(c.modes.Dir, hostmode.Uninitialized)
	if err := os.WriteFile(file, []byte("3600"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tainted, _ := api.GetNode(ctx, "n1")
	c.initialise(ctx, &tainted)
	c.initialise(ctx, &tainted)
	for started := time.Now(); time.Since(started) < 2*initialiseAfter; time.Sleep(5 * time.Millisecond) {
		if got := api.patched(); len(got) > 0 {
			t.Fatalf("it is initialised before its time: %v", got)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for c.isBusy("n1") {
		if ctx.Err() != nil {
			t.Fatal("it is not initialised when the delay is taken away")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got := api.patched(); len(got) != 1 {
		t.Errorf("patches: %v", got)
	}
	initialised, _ := api.GetNode(ctx, "n1")
	c.initialise(ctx, &initialised)
	if c.isBusy("n1") {
		t.Error("an initialised Node is initialised again")
	}
}
