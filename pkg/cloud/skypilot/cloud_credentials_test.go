package skypilot_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// freshServer returns a Cloud with its own server, whose user has a home directory without credentials.
func (w *world) freshServer(t *testing.T, home string) *skypilot.Cloud {
	t.Helper()
	free, err := skytest.FindServerPort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := skytest.InstallCatalogs(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	c := w.newCloud(t, func(o *skypilot.Options) {
		o.Dir, o.Port, o.Plugins = dir, free, nil // the second cloud asks for no credentials
		o.Env = append(o.Env, "HOME="+home)
	})
	t.Cleanup(func() {
		if err := c.StopServer(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCloudIsEnabledOnceItsCredentialsExist(t *testing.T) {
	w := start(t)
	home := t.TempDir()
	c := w.freshServer(t, home)
	_, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{CPUs: "2+"}, api.Neighbors{})
	if cloud.KindOf(err) != cloud.Access || !strings.Contains(err.Error(), "no cloud is enabled") ||
		!strings.Contains(err.Error(), "docs/clouds.md") {
		t.Errorf("any cloud: %s: %v", cloud.KindOf(err), err)
	}
	_, err = c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{Cloud: "aws"}, api.Neighbors{})
	var bad *api.FieldError
	if !errors.As(err, &bad) || bad.Field != "cloud" || !strings.Contains(bad.Want, "none yet") ||
		!strings.Contains(bad.Want, "aws is not: ") {
		t.Errorf("aws: %v", err)
	}
	if err := os.CopyFS(filepath.Join(home, ".aws"),
		os.DirFS(filepath.Join(w.dir, "world", "home", ".aws"))); err != nil {
		t.Fatal(err)
	}
	plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{CPUs: "2+"}, api.Neighbors{})
	if err != nil || plan[0].Cloud != "aws" {
		t.Errorf("once there are credentials of AWS: %+v, %v", plan, err)
	}
	holdUntouched(t, home)
}

// holdUntouched checks that our SkyPilot does not change the clusters, requests and settings of the user's own.
func holdUntouched(t *testing.T, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		name := d.Name()
		if err == nil && (strings.HasSuffix(name, ".db") || name == "config.yaml" || name == "api_server" ||
			name == "catalogs") {
			t.Errorf("our SkyPilot wrote %s into a person's home", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
