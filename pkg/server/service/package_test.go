package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/server/unit"
)

func TestUnitOfThePackageIsFoundWhereItIsEnabled(t *testing.T) {
	r, ann := newRecorder(t, "linux"), newPerson(t)
	dir := ann.defaultStateDir()
	if found, err := r.Find(dir, ann); found != nil || err != nil {
		t.Fatalf("before: %v, %v", found, err)
	}
	template := filepath.Join(r.Root, "/usr/lib/systemd/system/skyd@.service")
	link := filepath.Join(r.Root, "/etc/systemd/system/multi-user.target.wants/skyd@ann.service")
	for _, name := range []string{template, link} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(template, []byte(unit.RenderPackageTemplate("dev")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(template, link); err != nil {
		t.Fatal(err)
	}
	s, err := r.Find(dir, ann)
	if err != nil || s == nil || s.Describe() != "systemd system unit of the package skyd@ann.service" {
		t.Fatalf("enabled: %v, %v", s, err)
	}
	if other, err := r.Find(t.TempDir(), ann); other != nil || err != nil {
		t.Errorf("of another state directory: %v, %v", other, err)
	}
	if own := r.service(t, ann, true); own.Same(s) {
		t.Error("it is taken for the unit of skyctl server install --system")
	}
	r.fails["systemctl --no-ask-password restart"] = "Interactive authentication required."
	if err := s.Restart(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "sudo systemctl restart skyd@ann.service") {
		t.Errorf("a restart without rights: %v", err)
	}
	if changed, err := s.UseProgram(t.Context(), "/usr/bin/skyd"); changed || err != nil {
		t.Errorf("an upgrade by the package: %v, %v", changed, err)
	}
	if _, err := s.UseProgram(t.Context(), "/usr/local/bin/skyd"); err == nil ||
		!strings.Contains(err.Error(), "upgrade the package") {
		t.Errorf("another skyd than the package's: %v", err)
	}
	r.UID, r.ran = 0, nil
	if err := s.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.takeCommands(); !slices.Equal(got, []string{
		"systemctl --no-ask-password disable --quiet --now skyd@ann.service",
		"systemctl --no-ask-password daemon-reload",
	}) {
		t.Errorf("it ran %q", got)
	}
	if _, err := os.Stat(template); err != nil {
		t.Errorf("the package's own file was removed: %v", err)
	}
}
