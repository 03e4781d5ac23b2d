package distribution_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// TestVersionOfTheSourcesIsSemantic runs release/version.sh in a repository of its own.
func TestVersionOfTheSourcesIsSemantic(t *testing.T) {
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
			"GIT_COMMITTER_DATE=2026-01-02T03:04:05+0200", "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	script, err := os.ReadFile("../../release/version.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "release"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "release/version.sh"), string(script), 0o700)
	check := func(when, pattern string) {
		t.Helper()
		got := run("sh", "release/version.sh")
		if !semver.IsValid(got) || !regexp.MustCompile("^"+pattern+"$").MatchString(got) {
			t.Errorf("%s: %s", when, got)
		}
	}
	check("without git", "v0.0.0-unknown")
	run("git", "init", "--quiet")
	run("git", "add", ".")
	run("git", "commit", "--quiet", "--message", "one")
	check("without a tag", `v0\.0\.0-20260102010405-[0-9a-f]{12}`)
	if got := run("sh", "release/version.sh"); !module.IsPseudoVersion(got) {
		t.Errorf("%s is no version as Go makes it", got)
	}
	run("git", "tag", "other")
	run("git", "tag", "v1.2.3")
	check("at a tag", `v1\.2\.3`)
	run("git", "commit", "--quiet", "--allow-empty", "--message", "two")
	check("after a tag", `v1\.2\.3-1-g[0-9a-f]{12}`)
	write(t, filepath.Join(dir, "release/version.sh"), string(script)+"# changed\n", 0o700)
	check("with changes", `v1\.2\.3-1-g[0-9a-f]{12}-dirty`)
}
