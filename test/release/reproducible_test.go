package release

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const root = "../.."

// freshCache is set by make release-check: one of the builds compiles everything.
const freshCache = "SKYCTL_TEST_FRESH_CACHE"

// buildSkyctl builds skyctl from the sources in a directory, with the flags of .goreleaser.yaml.
func buildSkyctl(t *testing.T, sources, version, commit string, environ ...string) []byte {
	t.Helper()
	const pkg = "github.com/sky-shift/skyctl/pkg/version"
	name := filepath.Join(t.TempDir(), "skyctl")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags",
		"-s -w -X "+pkg+".version="+version+" -X "+pkg+".commit="+commit, "-o", name, "./cmd/skyctl")
	cmd.Dir = sources
	cmd.Env = slices.Concat(os.Environ(), []string{"CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false"}, environ)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building skyctl in %s: %v\n%s", sources, err, out)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// copySources copies what skyctl is built from. The copies are as old as they are.
func copySources(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"cmd", "pkg"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// Packages come from the compiler's cache both times, which does not know the directory with -trimpath: a directory or
// a time that reaches a program is one that the linker or a package's own files put there. make release-check compiles
// the packages of one build again.
func TestEqualSourcesGiveEqualPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("links skyctl twice")
	}
	const version, commit = "v1.2.3", "0123456789abcdef0123456789abcdef01234567"
	here := buildSkyctl(t, root, version, commit)
	var environ []string
	if os.Getenv(freshCache) != "" {
		environ = append(environ, "GOCACHE="+t.TempDir())
	}
	there := buildSkyctl(t, copySources(t), version, commit, environ...)
	if !bytes.Equal(here, there) {
		t.Errorf("two builds of skyctl differ: %d and %d bytes", len(here), len(there))
	}
	if !bytes.Contains(here, []byte(version)) || !bytes.Contains(here, []byte(commit)) {
		t.Error("the program does not have its version and commit")
	}
}
