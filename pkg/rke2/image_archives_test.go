package rke2

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// releaseWithImages is the directory of a release with archives of images: one that the checksums file lists, and
// others that it does not.
func releaseWithImages(t *testing.T) string {
	t.Helper()
	d := dir(t, "amd64", "arm64")
	for _, name := range []string{"rke2-images.linux-amd64.tar.zst", "rke2-images.linux-amd64.tar.gz",
		"rke2-images-cilium.linux-amd64.tar.gz", "rke2-images-core.linux-arm64.tar.zst",
		"rke2-images-all.linux-amd64.txt", "other-images.linux-amd64.tar.zst"} {
		write(t, filepath.Join(d, name), "images "+name)
	}
	sums, err := os.ReadFile(filepath.Join(d, checksumsName("amd64")))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d, checksumsName("amd64")), string(sums)+strings.Repeat("c", 64)+
		"  rke2-images.linux-amd64.tar.zst\n")
	return d
}

func TestImagesOfAReleaseDirectoryArePinned(t *testing.T) {
	d := releaseWithImages(t)
	mine := filepath.Join(t.TempDir(), "mine.tar")
	write(t, mine, "my images")
	spec := api.ClusterSpec{KubernetesVersion: version, RKE2: api.RKE2Settings{
		RKE2Release: api.RKE2Release{Source: d},
		Images: []api.ImageArchive{{Path: mine},
			{Path: "https://m.example.com/b.tar?x=1", SHA256: strings.Repeat("B", 64)}}}}
	a, err := Source{}.Pin(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	want := []api.PinnedImages{
		{From: mine, SHA256: sumOf("my images")},
		{From: "https://m.example.com/b.tar?x=1", SHA256: strings.Repeat("b", 64)},
		{From: filepath.Join(d, "rke2-images-cilium.linux-amd64.tar.gz"), Arch: "amd64",
			SHA256: sumOf("images rke2-images-cilium.linux-amd64.tar.gz")},
		{From: filepath.Join(d, "rke2-images.linux-amd64.tar.zst"), SHA256: strings.Repeat("c", 64), Arch: "amd64"},
		{From: filepath.Join(d, "rke2-images-core.linux-arm64.tar.zst"), Arch: "arm64",
			SHA256: sumOf("images rke2-images-core.linux-arm64.tar.zst")},
	}
	if !reflect.DeepEqual(a.Images, want) {
		t.Errorf("got\n%+v, want\n%+v", a.Images, want)
	}
	spec.RKE2.Images[0].SHA256 = strings.ToUpper(sumOf("my images"))
	if _, err := (Source{}).Pin(t.Context(), spec); err != nil {
		t.Errorf("with the sha256 of the file: %v", err)
	}
	spec.RKE2.Images[0].SHA256 = strings.Repeat("a", 64)
	if _, err := (Source{}).Pin(t.Context(), spec); kindOf(err) != ChecksumMismatch || !IsFinal(err) ||
		!strings.Contains(err.Error(), mine) {
		t.Errorf("with another sha256: %v", err)
	}
	if a.Ingress != "ingress-nginx" {
		t.Errorf("the ingress controller of %s is pinned as %q", version, a.Ingress)
	}
	spec.RKE2.Images = []api.ImageArchive{{Path: filepath.Join(d, "missing.tar")}}
	if _, err := (Source{}).Pin(t.Context(), spec); kindOf(err) != BadArtifacts || !IsFinal(err) {
		t.Errorf("without a file: %v", err)
	}
	if invalid := CheckImages(spec.RKE2.Images); len(invalid) != 1 || invalid[0].Value != spec.RKE2.Images[0].Path {
		t.Errorf("%v", invalid)
	}
	spec.RKE2.Images, spec.Ingress, spec.KubernetesVersion = nil, "none", "v1.29.1+rke2r1"
	if _, err := (Source{}).Pin(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "ingress controller") {
		t.Errorf("a release without the choice: %v", err)
	}
}

func TestImagesArriveOncePerMachine(t *testing.T) {
	m := newMachine(t)
	d := t.TempDir()
	asked := 0
	url := m.shop(d, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		asked++
		_, _ = w.Write([]byte("of the web"))
	})
	write(t, filepath.Join(d, "a.tar"), "local")
	images := []api.PinnedImages{{From: filepath.Join(d, "a.tar"), SHA256: sumOf("local")},
		{From: url + "/" + version + "/b.tar", SHA256: sumOf("of the web")},
		{From: filepath.Join(d, "c.linux-arm64.tar"), SHA256: sumOf("x"), Arch: "arm64"}}
	var said []string
	for range 2 {
		if err := InstallImages(t.Context(), m.Host, images, nil,
			func(s string) { said = append(said, s) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.RunShell("cd " + imagesDir + "; stat -c '%n %a' .; ls; cat a.tar b.tar"); got !=
		". 755\na.tar\nb.tar\nlocalof the web" {
		t.Errorf("on the machine:\n%s", got)
	}
	if asked != 1 || strings.Count(strings.Join(said, "\n"), "copying a.tar: ") > 1 {
		t.Errorf("downloaded %d times, progress\n%s", asked, strings.Join(said, "\n"))
	}
}

func TestImagesThatChangedAreRefused(t *testing.T) {
	m := newMachine(t)
	d := t.TempDir()
	write(t, filepath.Join(d, "a.tar"), "changed")
	url := m.shop(d, func(w http.ResponseWriter, r *http.Request, files http.Handler) { files.ServeHTTP(w, r) })
	for name, tt := range map[string]struct{ from, kind string }{
		"a file":         {filepath.Join(d, "a.tar"), ChecksumMismatch},
		"an address":     {url + "/" + version + "/a.tar", ChecksumMismatch},
		"no file":        {filepath.Join(d, "gone.tar"), BadArtifacts},
		"no such adress": {url + "/" + version + "/gone.tar", BadArtifacts},
	} {
		images := []api.PinnedImages{{From: tt.from, SHA256: sumOf("pinned")}}
		err := InstallImages(t.Context(), m.Host, images, nil, nil)
		if kindOf(err) != tt.kind || !IsFinal(err) || !strings.Contains(err.Error(), tt.from) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := m.RunShell("ls " + imagesDir + " 2>/dev/null; true"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
