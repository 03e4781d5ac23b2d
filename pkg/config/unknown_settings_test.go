package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/regularfile"
)

func TestForeignHeadingsAreIgnoredWithNote(t *testing.T) {
	for file, want := range map[string][]string{
		"api_server: {host: 127.0.0.1, port: 50051}\nrke2: {version: v1.34.1+rke2r1}\n": {"api_server"},
		"services: [a, b]\napi_server:\nrke2:\n  version: v1.34.1+rke2r1\n":             {"api_server", "services"},
		"a.b: {version: 1}\ncpu: 3\nuid: 5\nrke2.version: v1.34.1+rke2r1\n":             {"a.b", "cpu", "uid"},
		strings.Repeat("x", 900) + ": 1\nrke2: {version: v1.34.1+rke2r1}\n":             {strings.Repeat("x", 900)},
	} {
		c, err := loadSettings(t, file, nil)
		if err != nil {
			t.Errorf("%.80s: %v", file, err)
			continue
		}
		if c.RKE2.Version != "v1.34.1+rke2r1" || !slices.Equal(c.ForeignKeys, want) {
			t.Errorf("%.80s: version %s, foreign %.80v", file, c.RKE2.Version, c.ForeignKeys)
		}
		for _, key := range want {
			if note := c.ForeignNote(); !strings.Contains(note, key) || !strings.Contains(note, c.ConfigFile()) {
				t.Errorf("the note is %.200q", note)
			}
		}
	}
	if c := mustLoadSettings(t, "rke2: {version: v1.34.1+rke2r1}", nil); c.ForeignNote() != "" {
		t.Errorf("a note without foreign headings: %s", c.ForeignNote())
	}
}

func TestMisspeltSettingSuggestsNearestName(t *testing.T) {
	for file, near := range map[string]string{
		"rke2: {verison: v1.34.1+rke2r1}":          "rke2.version",
		"rke2.verison: v1.34.1+rke2r1":             "rke2.version",
		"rek2: {version: v1.34.1+rke2r1}":          "rke2",
		"RKE2: {version: v1.34.1+rke2r1}":          "rke2",
		"rke: {version: v1.34.1+rke2r1}":           "rke2",
		"rk2.version: v1.34.1+rke2r1":              "rke2.version",
		"rke2_version: v1.34.1+rke2r1":             "rke2.version",
		"SKYCTL_RKE2_VERSION: v1.34.1+rke2r1":      "rke2.version",
		"tempral: {address: 'x:1'}":                "temporal",
		"secrets_key_file: /x":                     "secretsKeyFile",
		"orphanGrace: 0":                           "reconcile.orphanGrace",
		"reconcile: {orphan_grace: 0}":             "reconcile.orphanGrace",
		"etcd: {tls: {server_name: x}}":            "etcd.tls.serverName",
		"api_server: {}\nreconsile: {interval: 1}": "reconcile",
	} {
		_, err := loadSettings(t, file, nil)
		if err == nil || !strings.Contains(err.Error(), "did you mean "+near+"?") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := loadSettings(t, "rke2: {colour: red}", nil); err == nil ||
		!strings.Contains(err.Error(), "valid keys: rke2.version") {
		t.Errorf("an unknown key below a known heading: %v", err)
	}
}

func TestBooleansNeedNoQuotes(t *testing.T) {
	if c := mustLoadSettings(t, "skypilot: {fullRuntime: true, usage: false}", nil); !c.SkyPilot.FullRuntime ||
		c.SkyPilot.Usage {
		t.Errorf("got %+v", c.SkyPilot)
	}
}

func TestDuplicateSettingsInConfigFileAreErrors(t *testing.T) {
	for file, says := range map[string]string{
		"rke2: {version: v1.34.1+rke2r1}\n---\nrke2: {source: /x}\n":      "second document",
		"rke2.version: v1.34.1+rke2r1\nrke2: {version: v1.35.1+rke2r1}\n": "set twice",
	} {
		if _, err := loadSettings(t, file, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, file := range []string{"---\nrke2: {version: v1.34.1+rke2r1}\n",
		"# mine\n\n--- # here\nrke2: {version: v1.34.1+rke2r1}\n"} {
		if c, err := loadSettings(t, file, nil); err != nil || c.RKE2.Version != "v1.34.1+rke2r1" {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestConfigFileMustBeRegularAndBounded(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "config.yaml")
	env := func(k string) string { return map[string]string{EnvDir: dir}[k] }
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(nil, env); !errors.Is(err, regularfile.ErrNotRegular) || !strings.Contains(err.Error(), name) {
		t.Errorf("a pipe: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("dev: {etcdPort: 1001}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 300<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(nil, env); !errors.Is(err, regularfile.ErrTooLarge) || !strings.Contains(err.Error(), name) {
		t.Errorf("a file of 300 MiB: got %v", err)
	}
	other := filepath.Join(t.TempDir(), "mine.yaml")
	if err := errors.Join(os.Remove(name), os.WriteFile(other, []byte("dev: {etcdPort: 1001}\n"), 0o600),
		os.Symlink(other, name)); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(nil, env); err != nil || c.Dev.EtcdPort != 1001 {
		t.Errorf("a link to a file: %v", err)
	}
}

func TestUnknownVariablesSuggestNearestName(t *testing.T) {
	got := UnknownVariableNotes([]string{"SKYCTL_RKE2_VERSON=v1", "SKYCONF_DRI=/x", "SKYCTL_RKE2_VERSION=v1",
		"SKYCTL_COLOUR=red", "SKYCTL_TEST_BIN=x", "SKYCTL_DIST=/dist",
		"SKYCTL_EMPTY=", "HOME=/root", "SKYCONF_DIR=/x", "SKYCTL_HOST=h", "SKYCTLX=1"})
	want := []string{
		"$SKYCONF_DRI is not a setting and is ignored; did you mean $SKYCONF_DIR?",
		"$SKYCTL_COLOUR is not a setting and is ignored; see skyctl help settings",
		"$SKYCTL_RKE2_VERSON is not a setting and is ignored; did you mean $SKYCTL_RKE2_VERSION?",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestIneffectiveSettingsAreNamed(t *testing.T) {
	const both = "etcd: {endpoints: ['http://e:2379']}\ntemporal: {address: 't:7233'}\n"
	for file, key := range map[string]string{
		both + "dev: {uiPort: 9000}\n":                                 "dev.uiPort",
		"skypilot: {tokenFile: /t}\n":                                  "skypilot.tokenFile",
		"skypilot: {endpoint: 'https://sky.example', port: 46000}\n":   "skypilot.port",
		"docker: {image: 'mine:1', baseImage: 'debian:12'}\n":          "docker.baseImage",
		"dev: {uiPort: 9000}\ndocker: {baseImage: 'debian:12'}\n":      "",
		"skypilot: {endpoint: 'https://sky.example', tokenFile: /t}\n": "",
	} {
		notes := mustLoadSettings(t, file, nil).IgnoredSettingNotes()
		if (key == "") != (len(notes) == 0) || key != "" &&
			(len(notes) != 1 || !strings.HasPrefix(notes[0], key+" (")) {
			t.Errorf("%s: %q", file, notes)
		}
	}
}
