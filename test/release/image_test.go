//go:build release_check

package release

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
)

func (m made) image(arch string) string {
	return "ghcr.io/sky-shift/skyd:" + strings.ReplaceAll(m.version, "+", "-") + "-" + arch
}

func TestImageRunsTheWorkerOfATeam(t *testing.T) {
	m := newMade(t)
	for _, arch := range []string{"amd64", "arm64"} {
		if out := run(t, "docker", "image", "inspect", "--format",
			"{{.Os}}/{{.Architecture}} {{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{len .RootFS.Layers}}",
			m.image(arch)); strings.TrimSpace(out) != "linux/"+arch+" 65532:65532 [/usr/local/bin/skyd] [worker] 4" {
			t.Errorf("%s: %s", arch, out)
		}
	}
	sandbox := []string{"run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none"}
	if out := run(t, "docker", append(sandbox, m.image("amd64"), "version")...); !strings.Contains(out, "v"+m.version) {
		t.Errorf("it prints %s", out)
	}
	// Without settings it ends, and says which ones it needs.
	ctx := eventually.Context(t, time.Minute)
	out, err := exec.CommandContext(ctx, "docker", append(sandbox, m.image("amd64"))...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SKYCTL_TEMPORAL_ADDRESS") {
		t.Errorf("a worker without servers: %v, %s", err, out)
	}
}

func TestImageHasAStateDirectoryAndAuthorities(t *testing.T) {
	m := newMade(t)
	id := strings.TrimSpace(run(t, "docker", "create", m.image("amd64")))
	defer run(t, "docker", "rm", id)
	list := run(t, "sh", "-c", "docker export "+id+" | tar -tvf -")
	for _, want := range []string{"65532/65532", "var/lib/skyd/snapshots/\n", "etc/ssl/certs/ca-certificates.crt\n",
		"usr/local/bin/skyd\n", "NOTICES.md\n"} {
		if !strings.Contains(list, want) {
			t.Errorf("it has no %q:\n%s", want, list)
		}
	}
	for line := range strings.Lines(list) {
		if strings.Contains(line, "var/lib/skyd") && !strings.HasPrefix(line, "drwx------ 65532/65532") {
			t.Errorf("others can read %s", line)
		}
	}
	if out := run(t, "sh", "-c", "docker cp "+id+
		":/etc/ssl/certs/ca-certificates.crt - | tar -xOf -"); strings.Count(out,
		"BEGIN CERTIFICATE") < 100 {
		t.Errorf("it has %d authorities", strings.Count(out, "BEGIN CERTIFICATE"))
	}
}
