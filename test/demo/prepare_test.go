package demo

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/needs"
)

// makeRelease creates a release of stand-ins. It returns its directory and the kit's archive.
func makeRelease(t *testing.T) (dir, kit string) {
	t.Helper()
	dir = t.TempDir()
	platform := runtime.GOOS + "_" + runtime.GOARCH
	programs, kit := "skyctl_1.2.3_"+platform+".tar.gz", "rke2kit_1.2.3_"+platform+".tar.gz"
	script := fmt.Sprintf(`set -e
mkdir -p programs kit share/rke2/bin
printf '#!/bin/sh\necho "skyctl v1.2.3"\n' >programs/skyctl
printf '#!/bin/sh\n' >programs/skyd
printf '#!/bin/sh\necho kubectl\n' >share/rke2/bin/kube
chmod +x programs/* share/rke2/bin/kube
tar -czf kit/rke2.linux-%[1]s.tar.gz share
echo v1.36.3+rke2r1-kit >kit/version
tar -czf %[2]s -C programs skyctl skyd
tar -czf %[3]s -C kit .
sha256sum %[2]s %[3]s >checksums.txt
`, runtime.GOARCH, programs, kit)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir, filepath.Join(dir, kit)
}

// placeRelease adds what installs a release to the directory of place, and returns what runs it.
func placeRelease(t *testing.T, dir string) (root string, install func() (string, error)) {
	t.Helper()
	root, state := place(t)
	for from, to := range map[string]string{"install_release.sh": "test/demo/install_release.sh",
		"../../install.sh": "install.sh"} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(root, to), content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SKYCTL_DIST", dir)
	return root, func() (string, error) { return run(t, root, state, "install_release.sh") }
}

// usePrograms leaves the programs of the script in PATH, with one that downloads.
func usePrograms(t *testing.T, downloader string) {
	t.Helper()
	path := t.TempDir()
	for _, name := range []string{"awk", "bash", "cat", "chmod", "cmp", "cp", "cut", "dirname", "env", "find", "grep",
		"gzip", "head", "id", "ln", "mkdir", "mktemp", "mv", "rm", "sed", "sh", "sha256sum", "tail", "tar", "uname",
		downloader} {
		if err := os.Symlink(needs.Program(t, name), filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", path)
}

func TestDemoTakesProgramsAndKitFromAURL(t *testing.T) {
	dir, _ := makeRelease(t)
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer files.Close()
	for _, downloader := range []string{"curl", "wget"} {
		t.Run(downloader, func(t *testing.T) {
			root, install := placeRelease(t, files.URL+"/")
			usePrograms(t, downloader)
			out, err := install()
			if err != nil || !strings.Contains(out, "The kit is Kubernetes v1.36.3+rke2r1-kit.") {
				t.Fatalf("%v: %s", err, out)
			}
			for _, name := range []string{"skyctl", "skyd", "kubectl", "rke2kit/version"} {
				if _, err := os.Stat(filepath.Join(root, "bin", name)); err != nil {
					t.Error(err)
				}
			}
			if err := os.RemoveAll(filepath.Join(root, "bin/rke2kit")); err != nil {
				t.Fatal(err)
			}
			t.Setenv("SKYCTL_DIST", files.URL+"/nothing")
			if out, err := install(); err == nil || !strings.Contains(out, "cannot get "+files.URL+"/nothing/") {
				t.Errorf("a release that is not there: %v: %s", err, out)
			}
		})
	}
}

func TestRedirectsOfTheKitDoNotLeaveHTTPS(t *testing.T) {
	dir, _ := makeRelease(t)
	files := http.FileServer(http.Dir(dir))
	plain := httptest.NewServer(files)
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/rke2kit_") {
			http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer secure.Close()
	settings := t.TempDir()
	authority, wgetrc := filepath.Join(settings, "ca.pem"), filepath.Join(settings, "wgetrc")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	for name, content := range map[string]string{authority: string(certificate),
		wgetrc: "ca_certificate = " + authority + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for downloader, says := range map[string]string{"curl": "cannot get " + secure.URL + "/rke2kit_",
		"wget": "to an address without https"} {
		t.Run(downloader, func(t *testing.T) {
			root, install := placeRelease(t, secure.URL)
			usePrograms(t, downloader)
			t.Setenv("CURL_CA_BUNDLE", authority)
			t.Setenv("WGETRC", wgetrc)
			out, err := install()
			if _, there := os.Stat(filepath.Join(root, "bin/rke2kit")); err == nil || there == nil ||
				!strings.Contains(out, says) || !strings.Contains(out, "Downloading rke2kit_") {
				t.Errorf("%v, %v: %s", err, there, out)
			}
		})
	}
}

func TestDownloadOfTheKitShowsABarOnATerminal(t *testing.T) {
	dir, _ := makeRelease(t)
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer files.Close()
	root, _ := placeRelease(t, files.URL)
	terminal := exec.CommandContext(t.Context(), needs.Program(t, "script"), "--quiet", "--return", "--command",
		"test/demo/install_release.sh", "/dev/null")
	terminal.Dir = root
	out, err := terminal.CombinedOutput()
	_, kit, _ := strings.Cut(string(out), "Downloading rke2kit")
	if err != nil || !strings.Contains(kit, "100.0%") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDemoTakesProgramsAndKitFromARelease(t *testing.T) {
	dir, _ := makeRelease(t)
	root, install := placeRelease(t, "file://"+dir+"/")
	out, err := install()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, err := exec.CommandContext(t.Context(), filepath.Join(root, "bin/kubectl")).Output()
	if err != nil || string(said) != "kubectl\n" {
		t.Errorf("kubectl says %q, %v", said, err)
	}
	said, err = exec.CommandContext(t.Context(), filepath.Join(root, "bin/skyctl")).Output()
	if err != nil || string(said) != "skyctl v1.2.3\n" {
		t.Errorf("skyctl says %q, %v", said, err)
	}
	shown, err := exec.CommandContext(t.Context(), "bash", "-c",
		"cd "+root+" && . test/demo/env.sh && echo $kit").Output()
	if err != nil || string(shown) != root+"/bin/rke2kit\n" {
		t.Errorf("the demo uses the kit %q, %v", shown, err)
	}
	if out, err := install(); err != nil || strings.Contains(out, "Downloading rke2kit") {
		t.Errorf("the kit is there, and was downloaded again: %v, %s", err, out)
	}
}

func TestDemoRefusesAKitWithAnotherChecksum(t *testing.T) {
	dir, kit := makeRelease(t)
	if err := os.WriteFile(kit, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, install := placeRelease(t, dir)
	if out, err := install(); err == nil || !strings.Contains(out, "checksums.txt has another SHA-256") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(root, "bin/rke2kit")); !os.IsNotExist(err) {
		t.Errorf("the kit was unpacked: %v", err)
	}
}

// runCompile runs compile.sh with a stand-in of go that compiles two packages, each once the script has said how far it
// is, and then runs the commands of end.
func runCompile(t *testing.T, end string) (string, error) {
	t.Helper()
	bin := t.TempDir()
	said := filepath.Join(bin, "said")
	script := `#!/bin/bash
await() {
	for _ in $(seq 2400); do if grep -q "$1" ` + said + `; then return; fi; sleep 0.05; done
	exit 8
}
if [ "$1" = list ]; then printf 'a/b\nc/d\n'; exit; fi
[ "$*" = 'build -v -trimpath -o out ./cmd/x' ] || { echo "arguments: $*"; exit 9; }
echo a/b; await '1 of about 2'; echo c/d; await linking
` + end
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "../setup/compile.sh", "x", "-trimpath", "-o", "out", "--", "./cmd/x")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SKYCTL_PROGRESS_SECONDS=1")
	output, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	err = cmd.Run()
	out, readErr := os.ReadFile(said)
	return string(out), errors.Join(err, readErr)
}

func TestBuildSaysHowManyPackagesAreCompiled(t *testing.T) {
	t.Parallel()
	out, err := runCompile(t, "exit 0")
	if err != nil || !regexp.MustCompile(`(?s)x: 1 of about 2 packages compiled, \d+ s\n.*`+
		`x: 2 packages compiled, linking, \d+ s\n`).MatchString(out) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestBuildPassesErrorsOn(t *testing.T) {
	t.Parallel()
	out, err := runCompile(t, "echo '# a/b'; echo 'b.go:1:2: undefined: x'; exit 3")
	// Its own lines about the progress can come between the compiler's.
	compiler := regexp.MustCompile(`(?m)^x: .*\n`).ReplaceAllString(out, "")
	if err == nil || !strings.Contains(compiler, "# a/b\nb.go:1:2: undefined: x\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// The image's build says nothing at first, for longer than the script takes to look.
func TestDemoWaitsForAHostImageThatSaysNothingYet(t *testing.T) {
	root, state := place(t)
	prepare, err := os.ReadFile("prepare.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"test/demo/prepare.sh":         string(prepare),
		"test/demo/install_release.sh": "#!/bin/sh\n",
		"test/setup/docker.sh":         "#!/bin/sh\n",
		"bin/skyd":                     "#!/bin/sh\nsleep 2\ntouch built\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SKYCTL_DIST", root)
	out, err := run(t, root, state, "prepare.sh")
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(root, "built")); err != nil {
		t.Errorf("the script did not wait: %v: %s", err, out)
	}
}
