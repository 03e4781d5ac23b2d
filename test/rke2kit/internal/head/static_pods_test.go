package head

import (
	"path/filepath"
	"testing"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
)

func manifests(t *testing.T, s *staticPods) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

func TestPlaceholdersWaitForTheNode(t *testing.T) {
	dataDir := t.TempDir()
	place := func(s *staticPods, component string, args ...string) {
		t.Helper()
		if err := s.place(staticpod.Pod{Component: component, Args: args}); err != nil {
			t.Fatal(err)
		}
	}
	s := newStaticPods(dataDir)
	place(s, staticpod.Etcd)
	if got := manifests(t, s); len(got) > 0 || s.arePlaced() {
		t.Errorf("written before the Node is Ready: %v", got)
	}
	if err := s.placeAll(); err != nil {
		t.Fatal(err)
	}
	place(s, staticpod.Scheduler)
	if got := manifests(t, s); len(got) != 2 || !s.arePlaced() {
		t.Errorf("written: %v", got)
	}

	s = newStaticPods(dataDir) // the next start
	place(s, staticpod.Etcd)
	place(s, staticpod.APIServer)
	if len(s.pending) != 1 {
		t.Errorf("pods that were there before wait too: %v", s.pending)
	}
	if err := s.lose(); err != nil {
		t.Fatal(err)
	}
	place(s, staticpod.Etcd)
	if err := s.placeAll(); err != nil {
		t.Fatal(err)
	}
	if got := manifests(t, s); len(got) > 0 {
		t.Errorf("after the Node was deleted there are %v", got)
	}
}
