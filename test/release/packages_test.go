//go:build release_check

package release

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
)

// installed are files of both kinds of packages.
var installed = []string{"/usr/bin/skyctl", "/usr/bin/skyd", "/usr/lib/systemd/system/skyd@.service",
	"/usr/lib/systemd/system/skyd-worker@.service", "/usr/share/man/man1/skyctl.1.gz",
	"/usr/share/man/man1/skyctl-create-cluster.1.gz", "/usr/share/bash-completion/completions/skyctl",
	"/usr/share/fish/vendor_completions.d/skyctl.fish", "/usr/share/doc/skyctl/copyright",
	"/usr/share/doc/skyctl/NOTICES.md"}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx := eventually.Context(t, 3*time.Minute)
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestDebianPackagesAreWellFormed(t *testing.T) {
	m := newMade(t)
	for _, arch := range []string{"amd64", "arm64"} {
		name := m.file("skyctl_" + m.version + "_linux_" + arch + ".deb")
		fields := run(t, "dpkg-deb", "--field", name)
		for _, want := range []string{"Package: skyctl\n", "Architecture: " + arch + "\n", "Section: admin\n",
			"Maintainer: The skyctl maintainers", "Description: Kubernetes clusters", "Homepage: https://"} {
			if !strings.Contains(fields, want) {
				t.Errorf("%s has no %q:\n%s", arch, want, fields)
			}
		}
		list := run(t, "dpkg-deb", "--contents", name)
		for _, file := range append(installed, "/usr/share/zsh/vendor-completions/_skyctl") {
			if !strings.Contains(list, " ."+file+"\n") {
				t.Errorf("%s has no %s:\n%s", arch, file, list)
			}
		}
		for line := range strings.Lines(list) {
			if !strings.Contains(line, " root/root ") || strings.HasPrefix(line, "-rw-rw") {
				t.Errorf("%s: %s", arch, line)
			}
		}
	}
}

func TestRPMsAreWellFormed(t *testing.T) {
	m := newMade(t)
	for arch, rpmArch := range map[string]string{"amd64": "x86_64", "arm64": "aarch64"} {
		name := m.file("skyctl_" + m.version + "_linux_" + arch + ".rpm")
		if out := run(t, "rpm", "--checksig", "--nosignature", name); !strings.Contains(out, "digests OK") {
			t.Errorf("%s: %s", arch, out)
		}
		if out := run(t, "rpm", "--query", "--package", "--queryformat", "%{NAME} %{ARCH} %{LICENSE}", name); out !=
			"skyctl "+rpmArch+" Apache-2.0" {
			t.Errorf("%s: %s", arch, out)
		}
		files := strings.Fields(run(t, "rpm", "--query", "--package", "--list", name))
		for _, file := range append(installed, "/usr/share/zsh/site-functions/_skyctl") {
			if !slices.Contains(files, file) {
				t.Errorf("%s has no %s", arch, file)
			}
		}
		for line := range strings.Lines(run(t, "rpm", "--query", "--package", "--scripts", name)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "systemctl ") &&
				line != "systemctl daemon-reload || true" && !strings.HasPrefix(line, "systemctl disable --now ") {
				t.Errorf("a script of %s runs %s", arch, line)
			}
		}
	}
	// Into a directory: rpm unpacks and checks all files.
	dir := t.TempDir()
	run(t, "rpm", "--root", dir, "--dbpath", "/rpmdb", "--nodeps", "--noscripts", "--ignorearch", "--install",
		m.file("skyctl_"+m.version+"_linux_amd64.rpm"))
	for _, file := range installed {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
}

// newDebian starts a container of the Docker hosts' image, which is a Debian, without its systemd.
func newDebian(t *testing.T) (execute func(script string) string) {
	t.Helper()
	image := strings.TrimSpace(run(t, "docker", "images", "--quiet", "--filter", "reference=skyctl-host"))
	image, _, _ = strings.Cut(image, "\n")
	if image == "" {
		t.Fatal("there is no host image: make host-image builds it")
	}
	id := strings.TrimSpace(run(t, "docker", "run", "--detach", "--network", "none", "--entrypoint", "sleep", image,
		"600"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, "docker", "rm", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	m := newMade(t)
	run(t, "docker", "cp", m.file("skyctl_"+m.version+"_linux_amd64.deb"), id+":/skyctl.deb")
	return func(script string) string {
		t.Helper()
		return run(t, "docker", "exec", id, "sh", "-ec", script)
	}
}

func TestDebianPackageIsInstalledAndRemoved(t *testing.T) {
	m := newMade(t)
	execute := newDebian(t)
	const enabled = "find /etc/systemd/system -name 'skyd*'"
	execute("dpkg --install /skyctl.deb")
	if out := execute("skyctl version --client && skyd version"); strings.Count(out, "v"+m.version) != 2 {
		t.Errorf("the programs print %s", out)
	}
	if out := execute(enabled); out != "" {
		t.Errorf("the installation enables %s", out)
	}
	if out := execute("systemd-analyze --man=no verify skyd@ann.service skyd-worker@ann.service 2>&1"); out != "" {
		t.Errorf("systemd says of the units: %s", out)
	}
	execute("useradd --create-home ann; bash -n /usr/share/bash-completion/completions/skyctl; " +
		"systemctl enable skyd@ann.service skyd-worker@ann.service")
	if out := execute(enabled); strings.Count(out, "multi-user.target.wants/skyd") != 2 {
		t.Errorf("systemctl enable made %q", out)
	}
	execute("dpkg --install /skyctl.deb") // an upgrade
	if out := execute(enabled); strings.Count(out, "multi-user.target.wants/skyd") != 2 {
		t.Errorf("an upgrade leaves %q", out)
	}
	execute("dpkg --remove skyctl")
	if out := execute(enabled + "; find /usr -name 'sky*' -o -name _skyctl"); out != "" {
		t.Errorf("the removal leaves %s", out)
	}
}
