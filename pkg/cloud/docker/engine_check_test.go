package docker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/needs"
)

func TestInspectDescribesTheEngine(t *testing.T) {
	needs.Docker(t)
	c, err := New(Options{ImageCacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, clouds := c.InspectProvider(t.Context())
	if f.Problem != "" || f.Version == "" || len(clouds) != 1 || !clouds[0].Enabled || clouds[0].Name != Name {
		t.Fatalf("%+v %+v", f, clouds)
	}
	if told := strings.Join(f.Details, "; "); !strings.Contains(told, "CPUs") || !strings.Contains(told, "host image") {
		t.Errorf("it tells: %s", told)
	}
}

func TestFirstClusterWithMoreCPUsThanTheComputerIsWarnedOf(t *testing.T) {
	needs.Docker(t)
	c, err := New(Options{ImageCacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	has, err := c.readCapacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ValidateSpec(t.Context(), api.GroupSpec{NumNodes: 1, Memory: "1"}); err != nil {
		t.Fatal(err)
	}
	each := api.Placement{CPUs: float64(has.cpus)}
	found := c.ListWarnings([]api.Placement{each, each, each})
	if !slices.ContainsFunc(found, func(f api.Finding) bool {
		return f.Severity == api.FindingWarning && strings.HasPrefix(f.Message, "the cluster's 3 machines") &&
			strings.Contains(f.Message, fmt.Sprintf("share the computer's %d", has.cpus))
	}) {
		t.Errorf("%+v", found)
	}
}

func TestUnreachableEngineIsNotEnabled(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/none.sock")
	c, err := New(Options{ImageCacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, clouds := c.InspectProvider(t.Context())
	if !strings.Contains(f.Problem, "systemctl start docker") || strings.Contains(f.Problem, "\n") ||
		len(clouds) != 1 || clouds[0].Enabled || clouds[0].Reason != f.Problem {
		t.Errorf("%+v %+v", f, clouds)
	}
}
