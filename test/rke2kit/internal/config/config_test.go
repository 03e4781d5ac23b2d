package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// write lays out a configuration directory and returns config.yaml's path.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "config.yaml.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml")
}

func TestDropInsAreMergedInOrderAndPlusAppends(t *testing.T) {
	file := write(t, map[string]string{
		"config.yaml":             "token: first\ntls-san: [a]\nnode-label:\n- x=1\nkubelet-arg: max-pods=50\n",
		"config.yaml.d/20-b.yaml": "token: third\ntls-san+: [c]\n",
		"config.yaml.d/10-a.yaml": "token: second\ntls-san+:\n- b\nnode-label: [y=2]\nkubelet-arg+: v=2\n",
		"config.yaml.d/note.txt":  "token: never\n",
	})
	got, warnings, err := Load(file, Server)
	if err != nil {
		t.Fatal(err)
	}
	want := Values{"token": {"third"}, "tls-san": {"a", "b", "c"}, "node-label": {"y=2"},
		"kubelet-arg": {"max-pods=50", "v=2"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(warnings) != 0 {
		t.Errorf("unexpected warnings %q", warnings)
	}
}

func TestUnknownKeysAreSkippedWithAWarning(t *testing.T) {
	file := write(t, map[string]string{"config.yaml": "cluster-name: x\ntls-san: [a]\ntoken: t\n"})
	got, warnings, err := Load(file, Agent)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Unknown flag --cluster-name found in config.yaml, skipping",
		"Unknown flag --tls-san found in config.yaml, skipping", // a server's key
	}
	if !reflect.DeepEqual(warnings, want) {
		t.Errorf("got %q, want %q", warnings, want)
	}
	if !reflect.DeepEqual(got, Values{"token": {"t"}}) {
		t.Errorf("got %v", got)
	}
}

func TestMissingOrEmptyFileIsAnEmptyConfiguration(t *testing.T) {
	for name, files := range map[string]map[string]string{"missing": nil, "empty": {"config.yaml": ""},
		"comment": {"config.yaml": "# none\n"}} {
		got, _, err := Load(write(t, files), Server)
		if err != nil || len(got) != 0 {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestMalformedFilesAreErrors(t *testing.T) {
	for name, content := range map[string]string{"list": "- a\n", "nested": "token: {a: b}\n", "syntax": "token: [\n"} {
		if _, _, err := Load(write(t, map[string]string{"config.yaml": content}), Server); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheCommandLineReplacesTheFile(t *testing.T) {
	v := Values{"token": {"file"}, "tls-san": {"file"}}
	if err := v.OverrideWithArgs([]string{"--token=cli", "--tls-san", "a", "--tls-san", "b", "--selinux"},
		Server); err != nil {
		t.Fatal(err)
	}
	want := Values{"token": {"cli"}, "tls-san": {"a", "b"}, "selinux": {"true"}}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %v, want %v", v, want)
	}
	if err := v.OverrideWithArgs([]string{"--no-such-flag=1"}, Server); err == nil {
		t.Error("an unknown flag is accepted")
	}
}

func TestKeysTheKitIgnoresAreNamed(t *testing.T) {
	v := Values{"selinux": {"true"}, "token": {"x"}}
	if got := v.InertKeys(Agent); !reflect.DeepEqual(got, []string{"selinux"}) {
		t.Errorf("got %v", got)
	}
}

func TestSecretsComeFromTheKeyOrTheFileItNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		values Values
		want   string
	}{
		{Values{}, ""},
		{Values{"token-file": {file}}, "from-file"},
		{Values{"token": {"direct"}, "token-file": {file}}, "direct"},
	} {
		if got, err := c.values.ReadSecret("token"); err != nil || got != c.want {
			t.Errorf("%v: got %q, %v; want %q", c.values, got, err, c.want)
		}
	}
	if _, err := (Values{"token-file": {file + ".gone"}}).ReadSecret("token"); err == nil {
		t.Error("a missing token file is no error")
	}
}
