package skypilot

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestSkyPilotVersionIsTheProducts(t *testing.T) {
	lean, err := findPluginDir()
	if err != nil {
		t.Fatal(err)
	}
	product, err := os.ReadFile(filepath.Join(lean, "..", "..", "venv", "setup", "base.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := files.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"the product": product, "the tests": ours} {
		if !regexp.MustCompile(`(?m)^skypilot==` + regexp.QuoteMeta(Version) + `\b`).Match(data) {
			t.Errorf("%s doesn't pin SkyPilot %s", name, Version)
		}
	}
	for line := range strings.Lines(string(ours)) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "==") {
			t.Errorf("%q is not pinned to a version", strings.TrimSpace(line))
		}
	}
}
