//go:build release_check

package release

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func gitCommit(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestProgramsAreBuiltForTheirPlatformAndSayTheirVersion(t *testing.T) {
	m, commit := newMade(t), gitCommit(t)
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		_, programs := readArchive(t, m.file(m.archive(platform)), "skyctl", "skyd")
		for program, content := range programs {
			info, err := buildinfo.Read(bytes.NewReader(content))
			if err != nil {
				t.Fatalf("%s, %s: %v", platform, program, err)
			}
			got := map[string]string{}
			for _, s := range info.Settings {
				got[s.Key] = s.Value
			}
			for key, want := range map[string]string{"GOOS": strings.Split(platform, "_")[0],
				"GOARCH": strings.Split(platform, "_")[1], "CGO_ENABLED": "0", "-trimpath": "true"} {
				if got[key] != want {
					t.Errorf("%s, %s: %s is %q", platform, program, key, got[key])
				}
			}
			if platform == runtime.GOOS+"_"+runtime.GOARCH {
				checkVersion(t, program, content, "v"+m.version, commit)
			}
		}
	}
}

func checkVersion(t *testing.T, program string, content []byte, version, commit string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), program)
	if err := os.WriteFile(name, content, 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	args := []string{"version"}
	if program == "skyctl" {
		args = append(args, "--client")
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), version+" ("+commit[:12]) {
		t.Errorf("%s version prints %q, %v; want %s and %s", program, out, err, version, commit[:12])
	}
}

func TestProgramsCanBeBuiltAgain(t *testing.T) {
	m := newMade(t)
	if strings.HasSuffix(m.version, "-dirty") || runtime.GOOS+"_"+runtime.GOARCH != "linux_amd64" {
		t.Skip("the sources differ from the commit, or the platform from the release's")
	}
	_, programs := readArchive(t, m.file(m.archive("linux_amd64")), "skyctl")
	if again := buildSkyctl(t, copySources(t), "v"+m.version, gitCommit(t)); !bytes.Equal(again, programs["skyctl"]) {
		t.Error("skyctl, built again in another directory, differs from the release's")
	}
}

// document is the part of a bill of materials in SPDX's JSON that is looked at; see
// https://spdx.github.io/spdx-spec/v2.3/.
type document struct {
	SPDXVersion string `json:"spdxVersion"`
	Packages    []struct {
		Name        string `json:"name"`
		VersionInfo string `json:"versionInfo"`
	} `json:"packages"`
}

func TestBillsOfMaterialsListTheModulesOfThePrograms(t *testing.T) {
	m := newMade(t)
	for _, archive := range m.archives() {
		content, err := os.ReadFile(m.file(archive + ".spdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var d document
		if err := json.Unmarshal(content, &d); err != nil || !strings.HasPrefix(d.SPDXVersion, "SPDX-2") {
			t.Errorf("%s: %v, SPDX version %q", archive, err, d.SPDXVersion)
		}
		if archive == m.kit() {
			continue // its programs are in an archive of its own
		}
		_, programs := readArchive(t, m.file(archive), "skyctl", "skyd")
		for program, content := range programs {
			info, err := buildinfo.Read(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			for _, dependency := range info.Deps {
				listed := func(p struct {
					Name        string `json:"name"`
					VersionInfo string `json:"versionInfo"`
				}) bool {
					return p.Name == dependency.Path && p.VersionInfo == dependency.Version
				}
				if dependency.Replace == nil && !slices.ContainsFunc(d.Packages, listed) {
					t.Errorf("%s: %s links %s %s, which is not listed", archive, program, dependency.Path,
						dependency.Version)
				}
			}
		}
	}
}

func TestSignatureIsOfTheKey(t *testing.T) {
	m := newMade(t)
	key := os.Getenv("SKYCTL_TEST_COSIGN_PUBLIC_KEY")
	if key == "" {
		t.Fatal("SKYCTL_TEST_COSIGN_PUBLIC_KEY names no key")
	}
	verify := func(file string) error {
		out, err := exec.CommandContext(t.Context(), "cosign", "verify-blob", "--key", key,
			"--insecure-ignore-tlog=true",
			"--signature", m.file("checksums.txt.sig"), file).CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if err := verify(m.file("checksums.txt")); err != nil {
		t.Errorf("checksums.txt: %v", err)
	}
	content, err := os.ReadFile(m.file("checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "checksums.txt")
	if err := os.WriteFile(other, append(content, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if verify(other) == nil {
		t.Error("the signature is of another file too")
	}
}
