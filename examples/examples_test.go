// Package examples tests the files of the examples: skyctl and Kubernetes read them, and skyctl has the commands.
package examples

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/plan"
)

// elsewhere are files that other tests read: the workflow in this package, the values with Helm in the kit's module.
var elsewhere = []string{"gitops/workflows/clusters.yaml", "team-kubernetes/values.yaml"}

// yamlFiles returns the content of each YAML file of the examples, by its path.
func yamlFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" || slices.Contains(elsewhere, path) {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return files
}

func isCluster(content []byte) bool { return bytes.Contains(content, []byte("\nkind: Cluster\n")) }

func TestClustersOfTheExamplesCanBeCreated(t *testing.T) {
	var seen []string
	for path, content := range yamlFiles(t) {
		if !isCluster(content) {
			continue
		}
		documents, err := manifest.Parse(path, content)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, d := range documents {
			c, err := d.NewCluster(time.Unix(0, 0))
			if err != nil {
				t.Error(err)
				continue
			}
			seen = append(seen, d.Name)
			checkPlan(t, c)
		}
	}
	slices.Sort(seen)
	if want := []string{"batch", "dev", "gpu", "prod", "production", "staging"}; !slices.Equal(seen, want) {
		t.Errorf("got the clusters %v, want %v", seen, want)
	}
}

// checkPlan plans a cluster as a dry run does: every pool gets its machines.
func checkPlan(t *testing.T, c *api.Cluster) {
	t.Helper()
	empty, want := *c, 0
	empty.Spec.Pools = nil
	for _, p := range c.Spec.Pools {
		want += p.Replicas
	}
	got := 0
	for _, step := range plan.ChangeSteps(&empty, c, plan.Observation{}, nil) {
		if step.Kind != api.ActionAddMachines {
			t.Errorf("%s: a new cluster has the step %+v", c.Metadata.Name, step)
		}
		got += step.Count
	}
	if got != want || want == 0 {
		t.Errorf("%s: the plan adds %d machines, want %d", c.Metadata.Name, got, want)
	}
}

func TestObjectsOfTheExamplesAreKubernetes(t *testing.T) {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	objects := 0
	for path, content := range yamlFiles(t) {
		if isCluster(content) {
			continue
		}
		for documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content))); ; {
			text := make([]byte, len(content))
			n, err := documents.Read(text)
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				_, _, err = decoder.Decode(text[:n], nil, nil)
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
			objects++
		}
	}
	if objects < 4 {
		t.Errorf("got %d objects", objects)
	}
}

func TestEveryExampleIsListedAndNamesItsFiles(t *testing.T) {
	list, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob("*/README.md")
	if err != nil || len(folders) < 5 {
		t.Fatalf("got %v, %v", folders, err)
	}
	for _, readme := range folders {
		if !strings.Contains(string(list), "("+readme+")") {
			t.Errorf("README.md does not name %s", readme)
		}
		content, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		for path := range yamlFiles(t) {
			folder, name, _ := strings.Cut(path, "/")
			first, _, _ := strings.Cut(name, "/")
			if folder == filepath.Dir(readme) && !strings.Contains(string(content), "("+first) {
				t.Errorf("%s does not name %s", readme, name)
			}
		}
	}
}
