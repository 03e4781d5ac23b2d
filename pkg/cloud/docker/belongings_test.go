package docker_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostimage"
	"github.com/sky-shift/skyctl/pkg/filelock"
	"github.com/sky-shift/skyctl/test/dockersim"
)

func TestBelongingsAreRemovedOnceTheHostsAreGone(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, "")
	i.Dir = filepath.Join(t.TempDir(), "skyctl", "images")
	c := i.NewProcess(engine)
	i.RequireNoError(c.EnsureImage(t.Context(), func(string) {}))
	launchAll(t, i, c, 1)
	b, err := c.FindBelongings(t.Context(), i.ID, "")
	i.RequireNoError(err)
	if len(b.Hosts) != 1 || len(b.Networks) != 1 || len(b.Images) != 1 || b.Files != i.Dir || b.KeptFor != "" ||
		!strings.HasPrefix(b.Images[0], "skyctl-host:") {
		t.Errorf("found %+v", b)
	}
	_, err = c.RemoveBelongings(t.Context(), i.ID, "")
	wantKind(t, err, cloud.Conflict, b.Hosts[0])
	for _, m := range mustBe(c.ListMachines(t.Context(), cloud.Owner{Installation: i.ID})) {
		i.RequireNoError(engine.RemoveContainer(m.Name)) // by hand, which leaves its volumes
	}
	removed, err := c.RemoveBelongings(t.Context(), i.ID, "")
	i.RequireNoError(err)
	if len(removed.Networks) != 1 || len(removed.Volumes) == 0 {
		t.Errorf("removed %+v", removed)
	}
	if left := engine.ListLeftovers(i.ID); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if b, err := c.FindBelongings(t.Context(), i.ID, ""); err != nil || len(b.Images)+len(b.Networks) > 0 ||
		b.Files != "" {
		t.Errorf("afterwards: %+v, %v", b, err)
	}
	if _, err := os.Stat(filepath.Dir(i.Dir)); !os.IsNotExist(err) {
		t.Errorf("the cache's directory is there: %v", err)
	}
}

func TestImagesMadeFromHostsStay(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, "")
	c := i.NewProcess(engine)
	i.RequireNoError(c.EnsureImage(t.Context(), func(string) {}))
	engine.AddImage("mine:1", map[string]string{"skyctl-host-image": "h"})
	engine.AddImage("<none>:saved", map[string]string{"skyctl-host-image": "h", cloud.LabelInstallation: i.ID})
	engine.AddImage("<none>:interrupted", map[string]string{"skyctl-host-image": "h"})
	b, err := c.RemoveBelongings(t.Context(), i.ID, "")
	if err != nil || len(b.Images) != 2 || slices.Contains(b.Images, "mine:1") {
		t.Errorf("removed %v, %v", b.Images, err)
	}
	for name, there := range map[string]bool{b.Images[0]: false, b.Images[1]: false, "mine:1": true,
		"<none>:saved": true} {
		if engine.HasImage(strings.TrimPrefix(name, "sha256:")) != there {
			t.Errorf("%s is there: %v", name, !there)
		}
	}
}

func mustBe[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestImagesThatOthersUseStay(t *testing.T) {
	mine, engine := dockersim.NewInstallation(t, "")
	c := mine.NewProcess(engine)
	mine.RequireNoError(c.EnsureImage(t.Context(), func(string) {}))
	foreign := filepath.Join(mine.Dir, "notes.txt")
	mine.RequireNoError(os.WriteFile(foreign, nil, 0o600))
	if b, err := c.RemoveBelongings(t.Context(), mine.ID, "your installation in /other"); err != nil ||
		b.KeptFor != "your installation in /other" || len(b.Images) > 0 {
		t.Errorf("needed by the same user: %+v, %v", b, err)
	}
	if names := listNames(t, mine.Dir); !slices.Contains(names, "network.lock") || len(names) < 4 {
		t.Errorf("of the files that the same user needs there are %v", names)
	}
	other := dockersim.NewInstallationOn(t, engine, "") // another user's: it has files of its own
	launchAll(t, other, other.NewProcess(engine), 1)
	b, err := c.RemoveBelongings(t.Context(), mine.ID, "")
	if err != nil || !strings.Contains(b.KeptFor, "another installation") || len(b.Images) > 0 || len(b.Networks) > 0 ||
		b.Files != mine.Dir {
		t.Errorf("needed by another installation: %+v, %v", b, err)
	}
	if found, err := c.ListMachines(t.Context(), cloud.Owner{Installation: other.ID}); err != nil || len(found) != 1 {
		t.Errorf("its machines: %v, %v", found, err)
	}
	if names := listNames(t, mine.Dir); !slices.Equal(names, []string{"notes.txt"}) || !engine.HasImage(c.ImageName()) {
		t.Errorf("of my files there are %v; the image is there: %v", names, engine.HasImage(c.ImageName()))
	}
}

func TestFilesStayWhileTheImageIsBuilt(t *testing.T) {
	i, engine := dockersim.NewInstallation(t, "")
	c := i.NewProcess(engine)
	i.RequireNoError(c.EnsureImage(t.Context(), func(string) {}))
	unlock, err := filelock.Acquire(t.Context(), filepath.Join(i.Dir, hostimage.Scratch.Lock))
	i.RequireNoError(err)
	before := listNames(t, i.Dir)
	if err := c.RemoveFiles(); err != nil || !slices.Equal(listNames(t, i.Dir), before) {
		t.Errorf("during a build: %v, of %v there are %v", err, before, listNames(t, i.Dir))
	}
	unlock()
	if err := c.RemoveFiles(); err != nil || len(listNames(t, i.Dir)) > 0 {
		t.Errorf("afterwards: %v, there are %v", err, listNames(t, i.Dir))
	}
}

// listNames lists a directory, which need not exist.
func listNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestTwoInstallationsOnOneEngine checks with a real engine that neither is in the other's way.
func TestTwoInstallationsOnOneEngine(t *testing.T) {
	mine, other := newSite(t, docker.Options{}), newSite(t, docker.Options{})
	mine.launch(mine.request(0))
	other.launch(other.request(0))
	same := other.request(1) // as if both had given their clusters the same name
	same.Name = mine.request(0).Name
	_, err := other.SubmitLaunch(other.ctx, same)
	wantKind(t, err, cloud.Conflict, "another installation", "choose another name for your cluster")
	subnets := map[string]bool{}
	for _, s := range []*site{mine, other} {
		b, err := s.FindBelongings(s.ctx, s.owner.Installation, "")
		if err != nil || len(b.Hosts) != 1 || len(b.Networks) != 1 || b.KeptFor == "" {
			t.Fatalf("%+v, %v", b, err)
		}
		n, err := s.engine.NetworkInspect(s.ctx, b.Networks[0], network.InspectOptions{})
		if err != nil || len(n.IPAM.Config) != 1 || subnets[n.IPAM.Config[0].Subnet] {
			t.Errorf("the network is %+v, %v", n.IPAM, err)
			continue
		}
		subnets[n.IPAM.Config[0].Subnet] = true
	}
	for _, m := range mustBe(mine.ListMachines(mine.ctx, mine.owner)) {
		if err := mine.TerminateMachine(mine.ctx, cloud.TargetOf(m)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := mine.RemoveBelongings(mine.ctx, mine.owner.Installation, "this test")
	if err != nil || len(b.Networks) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	left, err := other.FindBelongings(other.ctx, other.owner.Installation, "")
	if err != nil || len(left.Hosts) != 1 || len(left.Networks) != 1 || slices.Equal(left.Networks, b.Networks) {
		t.Errorf("of the other installation: %+v, %v", left, err)
	}
}
