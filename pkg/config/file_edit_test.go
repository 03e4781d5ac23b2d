package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingIsChangedWhereItIsWritten(t *testing.T) {
	for name, c := range map[string]struct {
		before, key, value, after string
	}{
		"empty file": {"", "rke2.version", "v1.35.7+rke2r1", "rke2.version: v1.35.7+rke2r1\n"},
		"nested":     {"rke2:\n  version: old # mine\n", "rke2.version", "new", "rke2:\n  version: new # mine\n"},
		"dotted":     {"rke2.version: old\n", "rke2.version", "new", "rke2.version: new\n"},
		"below": {"# top\nrke2: # r\n  cni: canal\n", "rke2.version", "new",
			"# top\nrke2: # r\n  version: new\n  cni: canal\n"},
		"mixed":        {"etcd:\n  tls.ca: a\n", "etcd.tls.ca", "b", "etcd:\n  tls.ca: b\n"},
		"bare heading": {"rke2:\n", "rke2.version", "new", "rke2:\nrke2.version: new\n"},
		"a number":     {"dev:\n  uiPort: 1\n", "dev.uiPort", "2", "dev:\n  uiPort: \"2\"\n"},
		"others":       {"api_server: {a: 1}\nx: y", "rke2.sha256", "e1", "api_server: {a: 1}\nx: y\nrke2.sha256: e1"},
	} {
		got, err := changeText([]byte(c.before), []FileChange{{Key: c.key, Value: c.value}})
		if err != nil || string(got) != c.after {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, c.after)
		}
	}
}

func TestUnsetRemovesOneLine(t *testing.T) {
	text := "# mine\nrke2:\n  version: a # why\n  cni: canal\nskypilot.port: 3\n"
	got, err := changeText([]byte(text), []FileChange{{Key: "rke2.version", Remove: true},
		{Key: "skypilot.port", Remove: true}, {Key: "docker.image", Remove: true}})
	if want := "# mine\nrke2:\n  cni: canal\n"; err != nil || string(got) != want {
		t.Errorf("%v, %q", err, got)
	}
}

// changeStored changes config.yaml of a new state directory.
func changeStored(t *testing.T, before string, changes ...FileChange) (after string, changed bool, err error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if before != "" {
		if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := func(k string) string {
		return map[string]string{EnvDir: dir, "HOME": "/home/ada", "SKYCTL_DEV_UI_PORT": "no port"}[k]
	}
	c, err := LoadPaths(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	changed, err = c.ChangeFile(env, changes...)
	text, readErr := os.ReadFile(file)
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	if info, statErr := os.Stat(file); changed && (statErr != nil || info.Mode().Perm() != 0o600) {
		t.Errorf("%v, %v", info, statErr)
	}
	return string(text), changed, err
}

func TestChangesAreCheckedAsTheFileIsLoaded(t *testing.T) {
	external := []FileChange{{Key: "etcd.endpoints", Value: "https://e:2379"},
		{Key: "temporal.address", Value: "t:7233"}}
	if after, changed, err := changeStored(t, "", external...); err != nil || !changed ||
		!strings.Contains(after, "temporal.address: t:7233\n") {
		t.Errorf("%q, %v, %v", after, changed, err)
	}
	for name, changes := range map[string][]FileChange{
		"temporal.address is not":        external[:1],
		"a port from 1 to 65535":         {{Key: "dev.uiPort", Value: "0"}},
		"set different ports":            {{Key: "dev.uiPort", Value: "2379"}},
		"a duration of at least":         {{Key: "reconcile.interval", Value: "soon"}},
		"http:// downloads can":          {{Key: "rke2.source", Value: "http://mirror"}},
		"set a value or remove":          {{Key: "snapshots.dir", Value: " "}},
		"set both or neither":            append(external[:2:2], FileChange{Key: "etcd.tls.cert", Value: "c"}),
		"such as http://temporal.exampl": {{Key: "ui.address", Value: "localhost"}},
	} {
		if after, changed, err := changeStored(t, "rke2:\n  cni: canal\n", changes...); changed || err == nil ||
			!strings.Contains(err.Error(), name) || after != "rke2:\n  cni: canal\n" {
			t.Errorf("%s: %v, %v, %q", name, changed, err, after)
		}
	}
	if _, changed, err := changeStored(t, "dev.uiPort: 3\n", FileChange{Key: "dev.uiPort", Value: "3"}); err != nil {
		t.Errorf("the same value: %v, %v", changed, err)
	}
	broken := "rke2:\n  version: nonsense\n"
	if _, changed, err := changeStored(t, broken, FileChange{Key: "rke2.version", Remove: true}); err != nil ||
		!changed {
		t.Errorf("a broken file cannot be repaired: %v, %v", changed, err)
	}
}

func TestChangeKeepsALinkToTheFile(t *testing.T) {
	dir, dotfiles := t.TempDir(), filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(dotfiles, []byte("rke2.cni: canal\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dotfiles, filepath.Join(dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
	c := &Config{Dir: dir}
	if _, err := c.ChangeFile(os.Getenv, FileChange{Key: "rke2.cni", Value: "cilium"}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(dotfiles); err != nil || string(text) != "rke2.cni: cilium\n" {
		t.Errorf("%q, %v", text, err)
	}
}
