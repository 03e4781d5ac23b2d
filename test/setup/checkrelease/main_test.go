package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const image = "docker.io/traefik/whoami:v1@sha256:" +
	"200689790a0a0ea48ca45992e0450bc26ccab5307375b41c84dfc4f2475937ab"

// startServer starts a server on loopback that answers requests with a status, and an object if that is 200.
func startServer(t *testing.T, answer func(r *http.Request) int) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Api-Version", "1.47") // of a Docker engine
		w.WriteHeader(answer(r))
		_, _ = io.WriteString(w, "{}") // the client may be gone
	}))
	t.Cleanup(s.Close)
	return s
}

// useEngine has Docker clients use a server.
func useEngine(t *testing.T, s *httptest.Server) {
	t.Helper()
	t.Setenv("DOCKER_HOST", strings.Replace(s.URL, "http:", "tcp:", 1))
}

// writeRelease writes a directory with a release.
func writeRelease(t *testing.T) string {
	t.Helper()
	dir, name := t.TempDir(), "rke2.linux-"+runtime.GOARCH+".tar.gz"
	content := []byte("a tarball")
	for file, text := range map[string]string{name: string(content),
		"sha256sum-" + runtime.GOARCH + ".txt": fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAllThatIsMissingIsToldAtOnce(t *testing.T) {
	nothing := startServer(t, func(*http.Request) int { return http.StatusNotFound })
	useEngine(t, nothing)
	var out strings.Builder
	code := run(t.Context(), []string{"-source", "https://127.0.0.1:1/rke2", "-image", image}, &out)
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{"the release: fetching https://127.0.0.1:1/rke2/v", "make e2e-rke2 RKE2=",
		"the Docker engine: ", "the image docker.io/rancher/rke2-runtime:v1", "the image " + image, "MIRROR="} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, &out)
		}
	}
	if code := run(t.Context(), []string{"-sauce", "x"}, &out); code != 2 {
		t.Errorf("an unknown flag: exit %d, want 2", code)
	}
}

func TestNothingMissingIsSilent(t *testing.T) {
	met := requirement{what: "a thing", check: func(context.Context) error { return nil }}
	unmet := requirement{what: "another", fix: "get it",
		check: func(context.Context) error { return errors.New("gone") }}
	var out strings.Builder
	if code := reportMissing(&out, findMissing(t.Context(), []requirement{met, met})); code != 0 || out.Len() > 0 {
		t.Errorf("exit %d: %s", code, &out)
	}
	if code := reportMissing(&out, findMissing(t.Context(), []requirement{met, unmet})); code != 1 ||
		!strings.Contains(out.String(), "another: gone.\n    To fix it: get it.\n") ||
		strings.Contains(out.String(), "a thing") {
		t.Errorf("exit %d: %s", code, &out)
	}
}

func TestReleaseIsLookedFor(t *testing.T) {
	dir := writeRelease(t)
	if err := (wanted{source: dir, version: "v1"}).checkRelease(t.Context()); err != nil {
		t.Errorf("a directory: %v", err)
	}
	if err := (wanted{source: t.TempDir(), version: "v1"}).checkRelease(t.Context()); err == nil {
		t.Error("an empty directory has a release")
	}
}

func TestImagesThatThePodsNeedAreLookedFor(t *testing.T) {
	dir := writeRelease(t)
	w := wanted{source: dir, version: "v1.36.4+rke2r1", image: image}
	if got := w.images(); len(got) != 2 || got[0] != "docker.io/rancher/rke2-runtime:v1.36.4-rke2r1" ||
		got[1] != image {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "rke2-images.linux-amd64.tar.zst"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.images(); len(got) != 1 || got[0] != image {
		t.Errorf("with archives of RKE2's images: %q", got)
	}
}

func TestRegistryIsAskedForImages(t *testing.T) {
	asked := make(chan string, 10)
	answer := func(r *http.Request) int {
		asked <- r.Method + " " + r.URL.Path
		if strings.Contains(r.URL.Path, "missing") {
			return http.StatusNotFound
		}
		return http.StatusOK
	}
	mirror := startServer(t, answer)
	for name, want := range map[string]string{image: "HEAD /v2/traefik/whoami/manifests/" + image[len(image)-71:],
		"docker.io/rancher/rke2-runtime:v1-rke2r1": "HEAD /v2/rancher/rke2-runtime/manifests/v1-rke2r1"} {
		if err := (wanted{mirror: mirror.URL + "/"}).checkImage(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := <-asked; got != want {
			t.Errorf("the mirror was asked %s, want %s", got, want)
		}
	}
	err := (wanted{mirror: mirror.URL}).checkImage(t.Context(), "docker.io/x/missing:1")
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an image that the mirror lacks: %v", err)
	}
	if err := (wanted{}).checkImage(t.Context(), "No Image"); err == nil {
		t.Error("what is no image was looked for")
	}
	useEngine(t, mirror)
	if err := (wanted{}).checkImage(t.Context(), image); err != nil {
		t.Errorf("through the engine: %v", err)
	}
	if err := (wanted{}).checkImage(t.Context(), "docker.io/x/missing:1"); err == nil {
		t.Error("the engine found an image that is missing")
	}
}

func TestComputerIsJudged(t *testing.T) {
	const kib = 1 << 20
	meminfo := func(gib float64) string {
		return fmt.Sprintf("MemTotal: %d kB\nMemAvailable:   %d kB\n", 64*kib, int(gib*kib))
	}
	for name, tt := range map[string]struct{ got, want string }{
		"enough memory": {fmt.Sprint(judgeMemory(meminfo(freeMemoryGiB))), "<nil>"},
		"little memory": {fmt.Sprint(judgeMemory(meminfo(5.5))), "5.5 GiB are available"},
		// two servers and two workers at once, as in TestTwoClustersProvisionAtTheSameTime
		"memory for one cluster": {fmt.Sprint(judgeMemory(meminfo(2*3 + 2*1.5))), "9.0 GiB are available; the 5 hosts"},
		"unknown memory":         {fmt.Sprint(judgeMemory("")), "MemAvailable is not told"},
		"all privileges":         {fmt.Sprint(judgePrivileges("Name:\tx\nCapBnd:\t000001ffffffffff\n")), "<nil>"},
		"some privileges": {fmt.Sprint(judgePrivileges("CapBnd:\t000001fffeffffff\n")),
			"cannot have CAP_SYS_RESOURCE"},
		"unknown privileges": {fmt.Sprint(judgePrivileges("CapBnd:\n")), "CapBnd is not told"},
	} {
		if !strings.Contains(tt.got, tt.want) {
			t.Errorf("%s: %s, want %s", name, tt.got, tt.want)
		}
	}
}

func TestOnlyTheComputerOfTheEngineIsJudged(t *testing.T) {
	for host, want := range map[string]bool{"": true, "unix:///run/docker.sock": true, "tcp://10.0.0.9:2375": false,
		"ssh://build": false} {
		t.Setenv("DOCKER_HOST", host)
		judged := slices.ContainsFunc((wanted{}).requirements(),
			func(r requirement) bool { return r.what == "privileges" })
		if judged != want {
			t.Errorf("%q: judged is %t", host, judged)
		}
	}
}
