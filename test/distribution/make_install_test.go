package distribution_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/needs"
)

// makeInstall runs make install with programs that are built already, of the directory bin.
func makeInstall(t *testing.T, bin string, variables ...string) string {
	t.Helper()
	argv := append([]string{"-C", "../..", "--no-print-directory", "--old-file=build", "install", "BIN=" + bin},
		variables...)
	out, err := exec.CommandContext(t.Context(), needs.Program(t, "make"), argv...).CombinedOutput()
	if err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	return string(out)
}

// writeStandIns writes stand-ins of skyctl and skyd into a directory.
func writeStandIns(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"skyctl", "skyd"} {
		write(t, filepath.Join(bin, name), fmt.Sprintf(standIn, "1.2.3"), 0o700)
	}
	return bin
}

// listFiles lists the files below a directory, man pages without those of single commands.
func listFiles(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), "skyctl-") {
			found = append(found, strings.TrimSuffix(strings.TrimPrefix(name, dir+"/"), ".gz"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

func TestMakeInstallIsRemovedAsUninstallSays(t *testing.T) {
	built := needs.BuiltPrograms(t)
	bin, prefix := writeStandIns(t), t.TempDir()
	// A skyd that has nothing outside the state directory.
	write(t, filepath.Join(bin, "skyd"), "#!/bin/sh\necho '{}'\n", 0o700)
	if err := os.Remove(filepath.Join(bin, "skyctl")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(built, "skyctl"), filepath.Join(bin, "skyctl")); err != nil {
		t.Fatal(err)
	}
	out := makeInstall(t, bin, "PREFIX="+prefix)
	if got := listFiles(t, prefix); got != installedFiles {
		t.Errorf("make install has installed\n%s\nand install.sh\n%s\n%s", got, installedFiles, out)
	}
	pages, err := filepath.Glob(filepath.Join(prefix, "share/man/man1/skyctl-*"))
	if err != nil || len(pages) < 50 {
		t.Errorf("%v, there are %d man pages", err, len(pages))
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".skyconf"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".skyconf/skyd.log"), "", 0o600) // there is something to uninstall
	uninstall := exec.CommandContext(t.Context(), filepath.Join(prefix, "bin/skyctl"), "uninstall", "--yes")
	uninstall.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin", "USER=newcomer",
		"DOCKER_HOST=unix://" + home + "/none.sock"}
	said, err := uninstall.CombinedOutput()
	command := regexp.MustCompile(`To remove them: (.*)`).FindSubmatch(said)
	if command == nil {
		t.Fatalf("%v: uninstall does not say how to remove the programs:\n%s", err, said)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", string(command[1])).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command[1], err, out)
	}
	if left := listFiles(t, prefix); left != "" {
		t.Errorf("%s leaves %s", command[1], left)
	}
}

func TestMakeInstallIntoADestinationKeepsNoList(t *testing.T) {
	dir := t.TempDir()
	out := makeInstall(t, writeStandIns(t), "PREFIX=/usr", "DESTDIR="+dir)
	want := strings.ReplaceAll(installedFiles, "share/skyctl/installed-files ", "")
	if got := listFiles(t, filepath.Join(dir, "usr")); got != want {
		t.Errorf("it has installed\n%s\nwant\n%s\n%s", got, want, out)
	}
	if _, said, _ := strings.Cut(out, "Installed skyctl 1.2.3 in "+dir+"/usr/bin."); strings.TrimSpace(said) != "" ||
		!strings.Contains(out, dir+"/usr/bin.") {
		t.Errorf("it says something of the computer that makes the package:\n%s", out)
	}
}
