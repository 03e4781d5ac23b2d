package venv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingProgramsAreNamedWithoutSystemErrors(t *testing.T) {
	dir := t.TempDir()
	e := Environment{Dir: dir, Python: filepath.Join(dir, "venv/bin/python")}
	err := e.CheckInstalled()
	if err == nil || !strings.HasSuffix(err.Error(), " into "+filepath.Join(dir, "venv")) ||
		!strings.HasPrefix(err.Error(), "SkyPilot is not installed for skyctl: run 'skyd install-skypilot'") {
		t.Errorf("without Python: %v", err)
	}
	e.Python, err = os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if err := e.CheckInstalled(); err == nil || !strings.HasSuffix(err.Error(), "rsync openssh-client)") {
		t.Errorf("without rsync: %v", err)
	}
}
