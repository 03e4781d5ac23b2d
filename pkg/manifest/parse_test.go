package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
