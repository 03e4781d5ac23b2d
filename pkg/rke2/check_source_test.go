package rke2

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckSourceOfDirectories(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("rke2.linux-amd64.tar.gz", "x")
	if err := CheckSource(t.Context(), "v1.34.1+rke2r1", dir, ""); err != nil {
		t.Errorf("a directory with a tarball: %v", err)
	}
	put("version", "v1.36.3+rke2r1-kit\n")
	if err := CheckSource(t.Context(), "v1.36.3+rke2r1-kit", dir, ""); err != nil {
		t.Errorf("a directory of that version: %v", err)
	}
	for what, of := range map[string][]string{
		"a directory of another version": {"v1.34.1+rke2r1", dir, "contains v1.36.3+rke2r1-kit"},
		"a directory that is not there":  {"v1.34.1+rke2r1", dir + "/none", "on skyd's machine"},
		"a directory without a release":  {"v1.34.1+rke2r1", t.TempDir(), "rke2.linux-amd64.tar.gz"},
		"a file":                         {"v1.34.1+rke2r1", dir + "/version", "not a directory"},
		"an unverified http source":      {"v1.34.1+rke2r1", "http://mirror.example", "sha256"},
	} {
		if err := CheckSource(t.Context(), of[0], of[1], ""); !IsFinal(err) || !strings.Contains(err.Error(), of[2]) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCheckSourceOfMirrors(t *testing.T) {
	status := http.StatusNotFound
	mirror := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
	}))
	defer mirror.Close()
	own := http.DefaultClient
	http.DefaultClient = mirror.Client()
	defer func() { http.DefaultClient = own }()
	if err := CheckSource(t.Context(), "v1.99.9+rke2r1", mirror.URL, ""); !IsFinal(err) ||
		!strings.Contains(err.Error(), "v1.99.9+rke2r1 is not available") {
		t.Errorf("a mirror without it: %v", err)
	}
	status = http.StatusServiceUnavailable
	if err := CheckSource(t.Context(), "v1.99.9+rke2r1", mirror.URL, ""); err != nil {
		t.Errorf("a failing mirror: %v", err)
	}
}
