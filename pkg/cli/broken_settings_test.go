package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// writeConfig writes the user's config.yaml.
func (p *testUser) writeConfig(content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.env[config.EnvDir], "config.yaml"), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func TestCommandsWithoutSettingsWorkIfSettingsAreBroken(t *testing.T) {
	for name, breakIt := range map[string]func(*testUser){
		"misspelt":     func(p *testUser) { p.writeConfig("rke2: {verison: v1.34.1+rke2r1}\n") },
		"invalid YAML": func(p *testUser) { p.writeConfig("rke2: [\n") },
		"a pipe": func(p *testUser) {
			if err := unix.Mkfifo(filepath.Join(p.env[config.EnvDir], "config.yaml"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &testUser{t: t, env: map[string]string{config.EnvDir: t.TempDir()}}
			breakIt(p)
			for _, args := range [][]string{{"version"}, {"completion", "bash"}, {"help"}, {"help", "settings"},
				{"__complete", "get", "cluster", ""}} {
				if got := p.run(args...); got.code != 0 || got.out == "" {
					t.Errorf("%v: exit %d, %s", args, got.code, got.err)
				}
			}
			got := p.run("server", "stop")
			if got.code != 0 || got.out != "The server is not running.\n" ||
				!strings.Contains(got.err, "Note: the settings are invalid") {
				t.Errorf("server stop: exit %d, %s%s", got.code, got.out, got.err)
			}
			if got := p.run("get", "clusters"); got.code != ExitUsage || !strings.Contains(got.err, "config.yaml") {
				t.Errorf("get clusters: exit %d, %s", got.code, got.err)
			}
		})
	}
}

func TestServerStopsIfSettingsBrokeOrChanged(t *testing.T) {
	for name, file := range map[string]string{
		"broken":           "rke2: {verison: v1.34.1+rke2r1}\n",
		"external servers": "etcd: {endpoints: 'http://127.0.0.1:1'}\ntemporal: {address: '127.0.0.1:1'}\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newLocalUser(t)
			if got := p.run("server", "start"); got.code != 0 {
				t.Fatalf("exit %d: %s", got.code, got.err)
			}
			p.writeConfig(file)
			if got := p.run("server", "stop"); got.code != 0 || got.out != "The server is stopped.\n" {
				t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
			}
		})
	}
}

func TestUnknownSectionsCauseOneNoteAndNoFailure(t *testing.T) {
	p := newExternalUser(t)
	p.writeConfig("api_server:\n  host: 127.0.0.1\n  port: 50051\n")
	got := p.run("get", "clusters")
	if got.code != 0 || strings.Count(got.err, "Note: ignored unknown setting in ") != 1 {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	p.run("get", "clusters", "-o", "json").check(t, 0,
		"{\n  \"apiVersion\": \"skyctl.sky-shift.org/v1\",\n  \"kind\": \"ClusterList\",\n  \"items\": []\n}\n", "")
}

func TestMisspeltVariableIsNamed(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_RKE2_VERSON"] = "v1.34.1+rke2r1"
	got := p.run("get", "clusters")
	if got.code != 0 || !strings.Contains(got.err,
		"Note: $SKYCTL_RKE2_VERSON is not a setting and is ignored; did you mean $SKYCTL_RKE2_VERSION?\n") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

func TestStateFileThatIsAPipeIsReported(t *testing.T) {
	p := &testUser{t: t, env: map[string]string{config.EnvDir: t.TempDir()}}
	cfg, err := config.Load(nil, func(k string) string { return p.env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(cfg.LockFile(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.FindRunning(cfg); err == nil || !strings.Contains(err.Error(), cfg.LockFile()) {
		t.Errorf("the lock file is a pipe: %v", err)
	}
	if got := p.run("get", "clusters"); got.code != ExitUnreachable || !strings.Contains(got.err, "named pipe") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

func TestHelpAndCompletionRejectUnknownWords(t *testing.T) {
	p := newUserWithoutState(t)
	for _, tt := range []struct{ words, says string }{
		{"help nosuch", `unknown command "nosuch" for skyctl`},
		{"help creat", "did you mean create?"},
		{"help get nosuch", `unknown command "nosuch" for skyctl get`},
		{"help version extra", `unknown command "extra" for skyctl version`},
		{"completion bash extra", "takes no arguments"},
	} {
		if got := p.run(strings.Fields(tt.words)...); got.code != ExitUsage || got.out != "" ||
			!strings.Contains(got.err, tt.says) {
			t.Errorf("%s: exit %d: %s%s", tt.words, got.code, got.out, got.err)
		}
	}
	for _, words := range []string{"help", "help get", "help get clusters", "help exit-codes", "completion zsh"} {
		if got := p.run(strings.Fields(words)...); got.code != 0 || got.out == "" {
			t.Errorf("%s: exit %d: %s", words, got.code, got.err)
		}
	}
}
