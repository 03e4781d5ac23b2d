package rke2

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const version = "v1.35.7+rke2r1"

func sumOf(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

func TestChecksumIsFoundByFileName(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for name, tt := range map[string]struct{ text, want string }{
		"among others":   {b + "  rke2.linux-amd64\n" + a + "  rke2.linux-amd64.tar.gz\n" + b + "  x\n", a},
		"binary mode":    {a + " *rke2.linux-amd64.tar.gz\n", a},
		"capitals":       {strings.ToUpper(a) + "  rke2.linux-amd64.tar.gz", a},
		"the same twice": {a + "  rke2.linux-amd64.tar.gz\n" + a + "  rke2.linux-amd64.tar.gz", a},
		"two":            {a + "  rke2.linux-amd64.tar.gz\n" + b + "  rke2.linux-amd64.tar.gz", ""},
		"too short":      {a[1:] + "  rke2.linux-amd64.tar.gz", ""},
		"not there":      {a + "  sub/rke2.linux-amd64.tar.gz", ""},
		"empty":          {"", ""},
		"a web page":     {"<html>\nsign in\n</html>", ""},
	} {
		got, err := findChecksum(strings.NewReader(tt.text), "rke2.linux-amd64.tar.gz")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// dir creates a release directory: a tarball and its checksum for each architecture.
func dir(t *testing.T, archs ...string) string {
	t.Helper()
	d := t.TempDir()
	for _, arch := range archs {
		write(t, filepath.Join(d, tarballName(arch)), "tarball of "+arch)
		write(t, filepath.Join(d, checksumsName(arch)), sumOf("tarball of "+arch)+"  "+tarballName(arch)+"\n")
	}
	return d
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryIsPinnedPerArchitecture(t *testing.T) {
	d := dir(t, "amd64", "arm64")
	a, err := ResolveArtifacts(t.Context(), version, d, "")
	if err != nil || a.Version != version || a.Source != d || len(a.SHA256) != 2 ||
		a.SHA256["arm64"] != sumOf("tarball of arm64") {
		t.Errorf("got %+v, %v", a, err)
	}
	a, err = ResolveArtifacts(t.Context(), version, dir(t, "amd64"), "")
	if err != nil || len(a.SHA256) != 1 {
		t.Errorf("one architecture: got %+v, %v", a, err)
	}
	a, err = ResolveArtifacts(t.Context(), version, d, strings.ToUpper(sumOf("tarball of arm64")))
	if err != nil || len(a.SHA256) != 1 || a.SHA256["arm64"] == "" {
		t.Errorf("with a configured checksum: got %+v, %v", a, err)
	}
}

func TestDamagedDirectoryIsRejected(t *testing.T) {
	d := dir(t, "amd64")
	write(t, filepath.Join(d, tarballName("amd64")), "tarball of amd6")
	if _, err := ResolveArtifacts(t.Context(), version, d, ""); kindOf(err) != ChecksumMismatch || !IsFinal(err) ||
		!strings.Contains(err.Error(), tarballName("amd64")) {
		t.Errorf("got %v", err)
	}
	if _, err := ResolveArtifacts(t.Context(), version, dir(t, "amd64"),
		strings.Repeat("0", 64)); kindOf(err) != ChecksumMismatch {
		t.Errorf("another configured checksum: got %v", err)
	}
	if _, err := ResolveArtifacts(t.Context(), version, t.TempDir(), ""); kindOf(err) != BadArtifacts ||
		!IsFinal(err) {
		t.Errorf("empty: got %v", err)
	}
	write(t, filepath.Join(d, checksumsName("amd64")), "nothing")
	if _, err := ResolveArtifacts(t.Context(), version, d, ""); kindOf(err) != BadArtifacts ||
		!strings.Contains(err.Error(), checksumsName("amd64")) {
		t.Errorf("no sums: got %v", err)
	}
}

// mirror starts a TLS server that the default client trusts.
func mirror(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewTLSServer(handle)
	t.Cleanup(s.Close)
	old := http.DefaultClient
	http.DefaultClient = s.Client()
	t.Cleanup(func() { http.DefaultClient = old })
	return s.URL
}

func TestChecksumsAreReadFromTheMirror(t *testing.T) {
	url := mirror(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/rke2/v1.35.7%2Brke2r1/sha256sum-amd64.txt" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "%s  %s\n", sumOf("x"), tarballName("amd64"))
	})
	a, err := ResolveArtifacts(t.Context(), version, url+"/rke2/", "")
	if err != nil || len(a.SHA256) != 1 || a.SHA256["amd64"] != sumOf("x") {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := ResolveArtifacts(t.Context(), "v9.9.9+rke2r1", url+"/rke2", ""); kindOf(err) != BadArtifacts ||
		!strings.Contains(err.Error(), url+"/rke2/v9.9.9%2Brke2r1/sha256sum-amd64.txt") {
		t.Errorf("another version: got %v", err)
	}
}

func TestMirrorFailureDiffersFromMissingFiles(t *testing.T) {
	for status, want := range map[int]string{500: SourceUnreachable, 503: SourceUnreachable, 429: SourceUnreachable,
		403: BadArtifacts, 404: BadArtifacts} {
		url := mirror(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err := ResolveArtifacts(t.Context(), version, url, "")
		if kindOf(err) != want || IsFinal(err) != (want == BadArtifacts) || !strings.Contains(err.Error(), url) {
			t.Errorf("%d: got %v", status, err)
		}
	}
	if _, err := ResolveArtifacts(t.Context(), version, "https://127.0.0.1:1",
		""); kindOf(err) != SourceUnreachable || !strings.Contains(err.Error(), "https://127.0.0.1:1/") {
		t.Errorf("no listener: got %v", err)
	}
}

func TestConfiguredChecksumNeedsNoRequest(t *testing.T) {
	url := mirror(t, func(http.ResponseWriter, *http.Request) { t.Error("the mirror was asked") })
	for _, source := range []string{url, strings.Replace(url, "https:", "http:", 1), Release} {
		if a, err := ResolveArtifacts(t.Context(), version, source, sumOf("x")); err != nil ||
			a.SHA256["amd64"] != sumOf("x") {
			t.Errorf("%s: got %+v, %v", source, a, err)
		}
	}
	for _, source := range []string{"http://mirror", "relative/dir", "ftp://x", ""} {
		if _, err := ResolveArtifacts(t.Context(), version, source, ""); kindOf(err) != BadArtifacts {
			t.Errorf("%q: got %v", source, err)
		}
	}
}

func TestArtifactURLOfTheOfficialRelease(t *testing.T) {
	a, err := ResolveArtifacts(t.Context(), version, Release, sumOf("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got := artifactURL(a, tarballName("amd64")); got !=
		"https://github.com/rancher/rke2/releases/download/v1.35.7%2Brke2r1/rke2.linux-amd64.tar.gz" {
		t.Errorf("got %s", got)
	}
}

func TestIsInstalledRequiresStampAndProgramVersion(t *testing.T) {
	sum := sumOf("x")
	for output, want := range map[string]bool{
		version + " " + sum + "\nrke2 version " + version + " (abc)\n":          true,
		"\nrke2 version " + version + " (abc)\n":                                false,
		version + " " + sum + "\n":                                              false,
		version + " " + sum + "\nrke2 version v1.35.8+rke2r1 (abc)\n":           false,
		version + " " + sumOf("y") + "\nrke2 version " + version + " (abc)\n":   false,
		version + "0 " + sum + "\nrke2 version " + version + "0 (abc)\n":        false,
		version + " " + sum + "\nrke2 version " + version + "-other (abc)\n":    false,
		"v1.35.6+rke2r1 " + sum + "\nrke2 version v1.35.6+rke2r1 (abc)\ngo x\n": false,
	} {
		if got := isInstalled(output, version, sum); got != want {
			t.Errorf("%q: got %v", output, got)
		}
	}
}
