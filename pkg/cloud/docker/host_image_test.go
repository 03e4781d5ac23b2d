package docker_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

// TestConcurrentCallersBuildOneImage starts from a base image that is there: the project's own, under another name.
func TestConcurrentCallersBuildOneImage(t *testing.T) {
	first := newSite(t, docker.Options{})
	if err := first.EnsureImage(first.ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	base := "skyctl-test-base:" + randomHex(t, 4)
	if err := first.engine.ImageTag(first.ctx, first.ImageName(), base); err != nil {
		t.Fatal(err)
	}
	defer first.engine.ImageRemove(first.ctx, base, image.RemoveOptions{})
	opts := docker.Options{BaseImage: base, ImageCacheDir: scratchDir(t)}
	s, twin := newSite(t, opts), newSite(t, opts)
	if s.ImageName() == first.ImageName() {
		t.Fatal("another base image gives the same image")
	}
	t.Cleanup(func() {
		s.clean() // an image in use can't be removed
		if err := s.RemoveImage(s.ctx); err != nil {
			t.Error(err)
		}
	})

	var (
		mu       sync.Mutex
		said     []string
		wg       sync.WaitGroup
		requests = []cloud.LaunchRequest{s.request(0), s.request(1), s.request(2)}
	)
	for i, req := range requests {
		ref := s.submit(req)
		from := []*docker.Cloud{s.Cloud, s.Cloud, twin.Cloud}[i]
		wg.Go(func() {
			m, err := from.AwaitLaunch(s.ctx, req, ref, func(words string) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, words)
			})
			if err != nil {
				t.Errorf("await %s: %v", req.Name, err)
				return
			}
			s.run(m, "sudo systemctl is-system-running --wait")
		})
	}
	wg.Wait()
	if got := count(said, "building the host image, once per machine"); got != 3 {
		t.Errorf("%d of 3 callers learned what they wait for: %q", got, said)
	}
	if got := count(said, "installing the host image's packages"); got != 1 {
		t.Errorf("the image was built %d times: %q", got, said)
	}
	s.clean()

	if _, err := s.engine.ImageRemove(s.ctx, s.ImageName(), image.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	said = nil
	if err := s.EnsureImage(s.ctx, func(words string) { said = append(said, words) }); err != nil {
		t.Fatal(err)
	}
	if count(said, "installing the host image's packages") != 0 {
		t.Errorf("the image was lost but its file was not, and the image was built again: %q", said)
	}
}

func count(said []string, words string) int {
	return len(slices.DeleteFunc(slices.Clone(said), func(s string) bool { return !strings.Contains(s, words) }))
}

// TestCancelledBuildLeavesNothing stops debootstrap during its work: no registry has a base image of this name.
func TestCancelledBuildLeavesNothing(t *testing.T) {
	dir := scratchDir(t)
	s := newSite(t, docker.Options{BaseImage: "skyctl-test-none:" + randomHex(t, 4), ImageCacheDir: dir})
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.EnsureImage(ctx, func(string) {}) }()
	for began := false; !began; {
		select {
		case err := <-done:
			t.Fatalf("the build ended before debootstrap started: %v", err)
		case <-time.After(50 * time.Millisecond):
			trees, err := filepath.Glob(filepath.Join(dir, ".rootfs-*", "var", "cache", "apt", "archives", "*.deb"))
			if err != nil {
				t.Fatal(err)
			}
			began = len(trees) > 0
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Fatal("the cancelled build reports success")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("it left %q, %v", left, err)
	}
	for _, proc := range must(filepath.Glob("/proc/[0-9]*/cmdline")) {
		if line, err := os.ReadFile(proc); err == nil && strings.Contains(string(line), dir) {
			t.Errorf("it left a process: %q", line)
		}
	}
}

func must(found []string, err error) []string {
	if err != nil {
		panic(err)
	}
	return found
}

func TestConfiguredImageIsNotBuilt(t *testing.T) {
	s := newSite(t, docker.Options{Image: "skyctl-test-none:" + randomHex(t, 4)})
	wantKind(t, s.EnsureImage(s.ctx, func(string) {}), cloud.Infeasible, s.ImageName(), "load it")
}
