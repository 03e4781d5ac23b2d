//go:build release_check

package release

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// made is a release that goreleaser made.
type made struct {
	// dir has its files, and version has no leading v.
	dir, version string
}

// newMade returns the release to look at. make release-check makes it.
func newMade(t *testing.T) made {
	t.Helper()
	dir := os.Getenv("SKYCTL_TEST_RELEASE")
	if dir == "" {
		t.Fatal("SKYCTL_TEST_RELEASE names no release: make release-check makes one")
	}
	names, err := filepath.Glob(filepath.Join(dir, "skyctl_*_linux_amd64.tar.gz"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the archive for linux amd64: %v, %v", names, err)
	}
	version := strings.TrimPrefix(filepath.Base(names[0]), "skyctl_")
	return made{dir: dir, version: strings.TrimSuffix(version, "_linux_amd64.tar.gz")}
}

func (m made) file(name string) string { return filepath.Join(m.dir, name) }

// archive returns the name of the archive with the programs for a platform.
func (m made) archive(platform string) string {
	return "skyctl_" + m.version + "_" + platform + ".tar.gz"
}

func (m made) kit() string { return "rke2kit_" + m.version + "_linux_" + runtime.GOARCH + ".tar.gz" }

func (m made) chart() string { return "skyd-worker-" + m.version + ".tgz" }

// archives returns the names of those that have a bill of materials.
func (m made) archives() []string {
	return []string{m.archive("linux_amd64"), m.archive("linux_arm64"), m.archive("darwin_amd64"),
		m.archive("darwin_arm64"), m.kit()}
}

func (m made) packages() []string {
	var all []string
	for _, arch := range []string{"amd64", "arm64"} {
		for _, kind := range []string{".deb", ".rpm"} {
			all = append(all, "skyctl_"+m.version+"_linux_"+arch+kind)
		}
	}
	return all
}

// readArchive returns the headers of an archive, and the content of the files that it is asked for.
func readArchive(t *testing.T, name string, want ...string) (headers []*tar.Header, contents map[string][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	contents = map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		headers = append(headers, h)
		if slices.Contains(want, h.Name) {
			if contents[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatalf("reading %s of %s: %v", h.Name, name, err)
			}
		}
	}
}

func commitTime(t *testing.T) time.Time {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "log", "-1", "--format=%cI").Output()
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestReleaseHasItsFilesAndNoOthers(t *testing.T) {
	m := newMade(t)
	want := slices.Concat(m.archives(), m.packages(), []string{m.chart(), "checksums.txt", "checksums.txt.sig",
		"install.sh"})
	for _, archive := range m.archives() {
		want = append(want, archive+".spdx.json")
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		// What goreleaser says about its work is not published.
		own := []string{"artifacts.json", "config.yaml", "metadata.json", "digests.txt"}
		if !e.IsDir() && !slices.Contains(own, e.Name()) {
			got = append(got, e.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestArchivesOfProgramsHaveTheirFiles(t *testing.T) {
	m, at := newMade(t), commitTime(t)
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		headers, _ := readArchive(t, m.file(m.archive(platform)))
		var names []string
		pages := 0
		for _, h := range headers {
			mode := int64(0o644)
			if h.Name == "skyctl" || h.Name == "skyd" {
				mode = 0o755
			}
			if h.Mode != mode || h.Uname != "root" || h.Gname != "root" || !h.ModTime.Equal(at) {
				t.Errorf("%s, %s: mode %o of %s:%s, from %v", platform, h.Name, h.Mode, h.Uname, h.Gname, h.ModTime)
			}
			if strings.HasPrefix(h.Name, "man/skyctl-") && strings.HasSuffix(h.Name, ".1.gz") {
				pages++
				continue
			}
			names = append(names, h.Name)
		}
		slices.Sort(names)
		want := []string{"LICENSE", "NOTICES.md", "README.md", "completions/skyctl.bash", "completions/skyctl.fish",
			"completions/skyctl.zsh", "man/skyctl.1.gz", "skyctl"}
		if strings.HasPrefix(platform, "linux_") {
			want = append(want, "skyd")
		}
		if !slices.Equal(names, want) || pages < 50 {
			t.Errorf("%s has %q and %d pages of commands", platform, names, pages)
		}
	}
}

func TestKitSaysWhatItIsFor(t *testing.T) {
	m := newMade(t)
	headers, contents := readArchive(t, m.file(m.kit()), "README.md", "version")
	if !strings.Contains(string(contents["README.md"]), "for trying out skyctl and for tests") ||
		!strings.Contains(string(contents["version"]), "+rke2r1-kit") {
		t.Errorf("got %q", contents)
	}
	arch := runtime.GOARCH
	for _, want := range []string{"NOTICES.md", "rke2.linux-" + arch + ".tar.gz", "sha256sum-" + arch + ".txt"} {
		if !slices.ContainsFunc(headers, func(h *tar.Header) bool { return h.Name == want }) {
			t.Errorf("it has no %s", want)
		}
	}
	for _, h := range headers {
		if strings.HasPrefix(filepath.Base(h.Name), ".") {
			t.Errorf("%s is of the kit's build", h.Name)
		}
	}
}

func TestChartHasTheVersionOfTheRelease(t *testing.T) {
	m := newMade(t)
	headers, contents := readArchive(t, m.file(m.chart()), "skyd-worker/Chart.yaml")
	chart := string(contents["skyd-worker/Chart.yaml"])
	for _, want := range []string{"\nversion: ", "\nappVersion: "} {
		if !strings.Contains(chart, want+m.version+"\n") {
			t.Errorf("Chart.yaml has no %q:\n%s", want+m.version, chart)
		}
	}
	for _, want := range []string{"skyd-worker/values.yaml", "skyd-worker/templates/deployment.yaml"} {
		if !slices.ContainsFunc(headers, func(h *tar.Header) bool { return h.Name == want }) {
			t.Errorf("it has no %s", want)
		}
	}
}

func TestChecksumsAreThoseOfAllFiles(t *testing.T) {
	m := newMade(t)
	text, err := os.ReadFile(m.file("checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !found {
			t.Errorf("the line %q is not SHA256, two spaces, FILE", line)
		}
		sums[name] = sum
	}
	files := map[string]string{"install.sh": m.file("install.sh")}
	for _, name := range slices.Concat(m.archives(), m.packages(), []string{m.chart()}) {
		files[name] = m.file(name)
	}
	for _, name := range m.archives() {
		files[name+".spdx.json"] = m.file(name + ".spdx.json")
	}
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); sums[name] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: checksums.txt says %q, it is %x", name, sums[name], sum)
		}
		delete(sums, name)
	}
	if len(sums) > 0 {
		t.Errorf("checksums.txt names other files: %v", sums)
	}
}

func TestReleaseIsInstalledByItsScript(t *testing.T) {
	m := newMade(t)
	prefix := t.TempDir()
	out := run(t, "sh", m.file("install.sh"), "--from", m.dir, "--prefix", prefix, "--cosign-key",
		os.Getenv("SKYCTL_TEST_COSIGN_PUBLIC_KEY"))
	if !strings.Contains(out, "Verified the signature") {
		t.Errorf("it prints\n%s", out)
	}
	for _, name := range []string{"bin/skyctl", "bin/skyd", "share/man/man1/skyctl.1.gz",
		"share/bash-completion/completions/skyctl", "share/zsh/site-functions/_skyctl",
		"share/fish/vendor_completions.d/skyctl.fish"} {
		if _, err := os.Stat(filepath.Join(prefix, name)); err != nil {
			t.Error(err)
		}
	}
	if out := run(t, filepath.Join(prefix, "bin/skyctl"), "version", "--client"); !strings.Contains(out,
		"v"+m.version) {
		t.Errorf("the installed skyctl prints %s", out)
	}
}
