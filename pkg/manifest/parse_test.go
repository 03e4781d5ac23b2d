package manifest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

// TestMalformedFiles compares the errors of each file of testdata/malformed with the golden ones.
func TestMalformedFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/malformed/*.*aml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := manifest.Parse(filepath.Base(file), data)
		for _, d := range documents { // the rules about several fields
			_, broken := d.NewCluster(now)
			err = errors.Join(err, broken)
		}
		var placed *manifest.PlaceErrors
		var field *api.FieldError
		if !errors.As(err, &placed) || !errors.As(err, &field) || len(documents) > 0 && documents[0].Name == "" {
			t.Errorf("%s: %d clusters, %v", file, len(documents), err)
			continue
		}
		compareGolden(t, strings.TrimSuffix(file, filepath.Ext(file))+".txt", err.Error()+"\n")
	}
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v\ngot:\n%swant:\n%s", file, err, got, want)
	}
}

func TestWhatGetPrintsCanBeApplied(t *testing.T) {
	stored := newRandomCluster(rand.New(rand.NewSource(1)))
	stored.Metadata.LastApplied, stored.Metadata.CreatedByApply, stored.Metadata.Revision = "{}", true, 7
	stored.Status.Machines = []api.Machine{{Name: "sky-dev-0"}}
	asJSON, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.JSONToYAML(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	list := `{"apiVersion": "x", "kind": "ClusterList", "items": [` + string(asJSON) + "]}"
	for _, text := range []string{string(asJSON), string(asYAML), list,
		strings.Replace(string(asYAML), "apiVersion", "api_version", 1)} {
		c, err := parseOne(t, text).NewCluster(now)
		if err != nil {
			t.Fatal(err)
		}
		if found := api.CompareClusters(stored, c); len(found) > 0 || c.Metadata.UID != "" ||
			c.Metadata.LastApplied != "" || len(c.Status.Machines) > 0 {
			t.Errorf("%+v, %+v", found, c.Metadata)
		}
	}
}

func TestTheFormsOfAFile(t *testing.T) {
	documents, err := manifest.Parse("all.yaml", []byte("# nothing\n---\n"+header+"spec: {}\n---\n\n---\n"+
		strings.Replace(header, "dev", "b", 1)+`spec:
  cloud: AWS
  kubernetes_version: v1.35.7+rke2r1
  ports: [8080, "443"]
  control_plane: {machine: &m {cpus: 3, memory: 16GiB, max_hourly_cost: 2}}
  pools:
  - name: big
    machine: {<<: *m, cpus: 8+}
    labels: {version: 1.10}
  - {name: bounded, min_replicas: 2}
  - {name: none, replicas: 0, drain_timeout: 90s, machine: *m}
`))
	if err != nil || len(documents) != 2 || documents[1].Name != "b" || documents[1].Line != 10 {
		t.Fatalf("%+v, %v", documents, err)
	}
	c, err := documents[1].NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	big := c.Spec.Pools[0]
	if c.Spec.Cloud != "aws" || c.Spec.ControlPlane.Machine.CPUs != "3" || big.Machine.CPUs != "8+" ||
		big.Machine.Memory != "16" || big.Machine.MaxHourlyCost != 2 || big.Labels["version"] != "1.10" ||
		big.Replicas != 1 || c.Spec.Pools[1].Replicas != 2 || c.Spec.Pools[2].Replicas != 0 ||
		!slices.Equal(c.Spec.Ports, []string{"443", "8080"}) ||
		c.Status.NextIndex != 4 || c.Status.Phase != api.PhaseInit || c.Metadata.Generation != 1 {
		t.Errorf("%+v", c)
	}
	const applied = `{"spec":{"cloud":"aws",`
	if got := documents[1].LastApplied(); !strings.Contains(got, `"cpus":"8+"`) || strings.Contains(got, "status") ||
		strings.Contains(got, "manager") || len(got) < len(applied) {
		t.Errorf("last applied: %s", got)
	}
	if documents, err := manifest.Parse("empty.yaml", []byte("---\n# nothing\n")); err != nil || len(documents) > 0 {
		t.Errorf("an empty file: %v, %v", documents, err)
	}
}

func TestErrorsOfAFileAreOfItsFields(t *testing.T) {
	_, err := manifest.Parse("dev.yaml", []byte(header+"spec: {clout: aws}\n"))
	fields := api.FieldErrorsOf(err)
	if len(fields) != 1 || fields[0].Field != "spec.clout" || fields[0].Want != "cloud" {
		t.Errorf("%+v of %v", fields, err)
	}
}

func TestAFileThatIsTooLargeIsRefused(t *testing.T) {
	labels := strings.Repeat("a, ", 400) + "a"
	var pools strings.Builder
	for i := range 400 {
		fmt.Fprintf(&pools, "\n  - {name: p%d, taints: *t}", i)
	}
	for name, text := range map[string]string{
		"bytes":  strings.Repeat("#", 1<<20+1),
		"values": header + "spec:\n  ports: &t [" + labels + "]\n  pools:" + pools.String(),
		"depth":  strings.Repeat("[", 100_000),
	} {
		_, err := manifest.Parse("big.yaml", []byte(text))
		var placed *manifest.PlaceErrors
		if !errors.As(err, &placed) || len(placed.All) > 20 {
			t.Errorf("%s: %.200v", name, err)
		}
		if name == "values" && !strings.Contains(err.Error(), "too many values") {
			t.Errorf("%s: %.2000v", name, err)
		}
	}
}

func TestKeysOfAFileCannotWriteLines(t *testing.T) {
	_, err := manifest.Parse("dev.yaml", []byte(header+"spec:\n  \"a\\ndev.yaml:1:1: \\e[2J\": 1\n  ? "+
		strings.Repeat("x", 100_000)+"\n  : 1\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || strings.Contains(err.Error(), "\x1b") ||
		len(err.Error()) > 2000 {
		t.Errorf("%.2000q", err)
	}
}

// TestCostlyFilesAreReadInTime: the work for a file does not grow with the square of its size.
func TestCostlyFilesAreReadInTime(t *testing.T) {
	lines := func(head, line string, n int) string {
		var b strings.Builder
		b.WriteString(head)
		for i := range n {
			fmt.Fprintf(&b, line, i)
		}
		return b.String()
	}
	merged := lines("status: &many\n", "  k%d: 1\n", 24_000) + lines(header+"spec:\n  <<: *many\n", "  j%d: 1\n",
		24_000)
	pools := header + "spec:\n  pools:\n"
	for name, text := range map[string]string{
		"a merge of many fields": merged,
		"the same mistake":       lines(pools, "  - {name: a%d, replicas: 0, spot_fallback: on_demand}\n", 600),
		"other mistakes":         lines(pools, "  - {name: a%d, replicas: 0, min_replicas: 1%[1]d}\n", 300),
	} {
		start := readCPUTime(t)
		docs, err := manifest.Parse("dev.yaml", []byte(text))
		if err == nil {
			_, err = docs[0].NewCluster(time.Now())
		}
		if used := readCPUTime(t) - start; err == nil || used > 5*time.Second {
			t.Errorf("%s: after %v: %.300v", name, used, err)
		}
	}
}

// readCPUTime returns the CPU time that this process has used. Other programs of the computer do not add to it.
func readCPUTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/malformed/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, err := manifest.Parse("fuzz.yaml", data)
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		for _, d := range documents {
			c, err := d.NewCluster(now)
			if err != nil {
				continue
			}
			if found := api.CompareClusters(c, mustExport(t, c)); len(found) > 0 {
				t.Errorf("%+v", found)
			}
		}
	})
}

// mustExport exports a cluster and creates it from the file.
func mustExport(t *testing.T, c *api.Cluster) *api.Cluster {
	t.Helper()
	again, err := export(t, c).NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	return again
}
