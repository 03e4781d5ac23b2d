package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// place creates a directory with the demo's scripts and stand-ins: a kit, and a skyctl that fails and so ends them.
func place(t *testing.T) (root, state string) {
	t.Helper()
	root, state = t.TempDir(), filepath.Join(t.TempDir(), "state")
	put := func(name, content string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, script := range []string{"env.sh", "up.sh", "down.sh"} {
		content, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		put("test/demo/"+script, string(content), 0o755)
	}
	put("kit/version", "v1.36.3+rke2r1-kit\n", 0o644)
	put("test/rke2kit/build.sh", "#!/bin/sh\necho "+root+"/kit\n", 0o755)
	put("test/setup/docker-down.sh", "#!/bin/sh\n", 0o755)
	put("bin/skyctl", "#!/bin/sh\ncase $1 in create) exit 3;; delete) exit 4;; esac\n", 0o755)
	put("bin/skyd", "#!/bin/sh\n", 0o755)
	return root, state
}

func run(t *testing.T, root, state, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "umask 022; exec test/demo/"+script)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SKYCONF_DIR="+state)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestDemoSettingsAreReadableByTheirOwnerOnly(t *testing.T) {
	root, state := place(t)
	out, err := run(t, root, state, "up.sh")
	info, statErr := os.Stat(filepath.Join(state, "config.yaml"))
	if err == nil || statErr != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v, %v: %s", info, err, statErr, out)
	}
	for _, name := range []string{"server", "secrets.key"} { // as skyd leaves them
		if err := os.Mkdir(filepath.Join(state, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run(t, root, state, "down.sh"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("%s still exists: %v", state, err)
	}
}

func TestDemoKeepsFilesThatItDidNotCreate(t *testing.T) {
	root, state := place(t)
	config := filepath.Join(state, "config.yaml")
	if err := os.MkdirAll(filepath.Join(state, "theirs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, root, state, "up.sh"); err == nil || strings.Contains(out, "is yours") {
		t.Fatalf("%v: %s", err, out)
	}
	demos, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(demos, "api_server: {port: 50051}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(state, "server"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, root, state, "down.sh"); err != nil || !strings.Contains(out, state+" stays") {
		t.Errorf("%v: %s", err, out)
	}
	left, err := os.ReadDir(state)
	if err != nil || len(left) != 2 || left[0].Name() != "config.yaml" || left[1].Name() != "theirs" {
		t.Errorf("remaining files: %v, %v", left, err)
	}
}

func TestDemoDoesNotOverwriteForeignSettings(t *testing.T) {
	root, state := place(t)
	config := filepath.Join(state, "config.yaml")
	const theirs = "api_server: {port: 50051}\n"
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, root, state, "up.sh"); err == nil || !strings.Contains(out, "is yours") {
		t.Errorf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(config); err != nil || string(got) != theirs {
		t.Errorf("the file is %q now, %v", got, err)
	}
}
