package docker

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/needs"
)

func TestUnsuitableEngineIsExplained(t *testing.T) {
	fit := engineCapacity{cpus: 2, memoryGiB: 4, freeDiskGiB: 50}
	for name, c := range map[string]struct {
		version, system string
		has             engineCapacity
		want            string
	}{
		"as it should be":  {"20.10.24", "linux", fit, ""},
		"a newer one":      {"28.0.1+dfsg", "linux", fit, ""},
		"nobody's version": {"dev", "", fit, ""},
		"disk unknown":     {"27.1", "linux", engineCapacity{cpus: 2, memoryGiB: 4}, ""},
		"an old one":       {"19.03.15", "linux", fit, "20.10 or newer"},
		"an old minor":     {"20.9.1", "linux", fit, "20.10 or newer"},
		"another system":   {"27.1.0", "windows", fit, "windows containers"},
		"a small machine": {"27.1.0", "linux", engineCapacity{cpus: 1, memoryGiB: 0.5, freeDiskGiB: 50},
			"0.5 GiB of memory"},
		"a disk that is full": {"27.1.0", "linux", engineCapacity{cpus: 2, memoryGiB: 4, freeDiskGiB: 1.5},
			"free some disk space"},
		"a large disk, of which the kubelet wants more free": {"27.1.0", "linux",
			engineCapacity{cpus: 2, memoryGiB: 4, freeDiskGiB: 50, diskGiB: 1000}, "5% (50.0 GiB)"},
		"a version of one word": {"27", "linux", fit, ""},
	} {
		got := findEngineProblem(c.version, c.system, c.has)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

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
