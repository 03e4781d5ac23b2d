package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
)

func TestDirectoriesThatOthersCanEnterAreNotSkyctls(t *testing.T) {
	c := &config.Config{Dir: t.TempDir()}
	for name, mode := range map[string]os.FileMode{"server": 0o700, "clusters": 0o755, "photos": 0o700} {
		if err := os.Mkdir(filepath.Join(c.Dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(elsewhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(elsewhere), filepath.Join(c.Dir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	found, err := ListStateDir(c, false, false)
	if err != nil {
		t.Fatal(err)
	}
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(c.Dir, name))
		}
		return paths
	}
	if !slices.Equal(found.Removed, in("server", "snapshots")) || !slices.Equal(found.Kept, in("clusters", "photos")) {
		t.Errorf("found %+v", found)
	}
	if err := RemoveStateDir(c, found); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(elsewhere); err != nil {
		t.Errorf("the target of a link: %v", err)
	}
	if left, err := ListStateDir(c, false, false); err != nil || len(left.Removed) > 0 || len(left.Kept) != 2 {
		t.Errorf("left: %+v, %v", left, err)
	}
}
