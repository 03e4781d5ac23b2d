package unit

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/golden"
	"github.com/sky-shift/skyctl/test/needs"
)

// odd is a unit whose values have everything that the formats treat specially.
var odd = Unit{Skyd: `/opt/100% <sky> $HOME/skyd`, StateDir: "/home/ann b/50%h",
	EnvironmentFile: "/home/ann b/50%h/skyd.env", Label: "org.sky-shift.skyd", LogFile: "/home/ann b/50%h/skyd <1>.log",
	Variables: []Variable{{"HTTPS_PROXY", "http://ann:a&b@proxy"}, {"SKYCONF_DIR", "/home/ann b/50%h"}}}

var plain = Unit{Skyd: "/usr/local/bin/skyd", StateDir: "/home/ann/.skyconf",
	EnvironmentFile: "/home/ann/.skyconf/skyd.env", Label: "org.sky-shift.skyd",
	LogFile: "/home/ann/.skyconf/skyd.log", Variables: []Variable{{"SKYCONF_DIR", "/home/ann/.skyconf"}}}

func TestUnitsOfEachKind(t *testing.T) {
	ofSystem := plain
	ofSystem.User = "ann"
	lingers := plain
	lingers.EnabledLinger = true
	for name, render := range map[string]func() (string, error){
		"user.service":   plain.RenderSystemd,
		"system.service": ofSystem.RenderSystemd,
		"linger.service": lingers.RenderSystemd,
		"odd.service":    odd.RenderSystemd,
		"user.plist":     plain.RenderLaunchd,
		"odd.plist":      odd.RenderLaunchd,
		"odd.env": func() (string, error) {
			return RenderEnvironmentFile([]Variable{{"A", `x"y\z$w` + "`q`"}, {"B", "two words # no comment"}})
		},
	} {
		text, err := render()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden.Compare(t, name, text)
	}
}

func TestValuesThatBreakALineAreRefused(t *testing.T) {
	for what, change := range map[string]func(*Unit){
		"state directory": func(u *Unit) { u.StateDir = "/a\nExecStart=/bin/evil" },
		"path of skyd":    func(u *Unit) { u.Skyd = "/a\n" },
		"user":            func(u *Unit) { u.User = "ann\nRestart=no" },
	} {
		u := plain
		change(&u)
		var wrong *ValueError
		if _, err := u.RenderSystemd(); !errors.As(err, &wrong) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s in a unit: %v", what, err)
		}
		if _, err := u.RenderLaunchd(); !errors.As(err, &wrong) {
			t.Errorf("%s in a job: %v", what, err)
		}
	}
	for what, u := range map[string]Unit{
		"path of skyd":    {Skyd: `/a"b`, StateDir: "/d"},
		"state directory": {Skyd: "/a", StateDir: `/d\`},
	} {
		if _, err := u.RenderSystemd(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("what systemd misreads in the %s: %v", what, err)
		}
	}
	u := plain
	u.Variables = []Variable{{"A", "1\n2"}}
	if _, err := u.RenderLaunchd(); err == nil || !strings.Contains(err.Error(), "$A") {
		t.Errorf("a variable of a job: %v", err)
	}
	if _, err := RenderEnvironmentFile(u.Variables); err == nil || !strings.Contains(err.Error(), "$A") {
		t.Errorf("a variable: %v", err)
	}
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	verify := needs.Program(t, "systemd-analyze")
	for _, name := range []string{"user.service", "system.service", "linger.service", "odd.service"} {
		out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", "--recursive-errors=no",
			filepath.Join("testdata", name)).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			// The programs of the golden files do not exist here.
			if strings.Contains(line, name) && !strings.Contains(line, "is not executable") {
				t.Errorf("%s: %v: %s", name, err, line)
			}
		}
	}
}

func TestNamesDependOnDirectoryAndUser(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ dir, user, want string }{
		{"/home/ann/.skyconf", "", "skyd"},
		{"/home/ann/.skyconf", "ann", "skyd-ann"},
		{"/home/ann/try", "", ""},
		{"/home/ann/other", "", ""},
		{"/home/ann/other", "ann", ""},
		{"/home/ann/.skyconf", `CORP\ann`, ""},
	} {
		name := FormatName(c.dir, "/home/ann/.skyconf", c.user)
		if c.want != "" && name != c.want || seen[name] || !plainName.MatchString(name) {
			t.Errorf("%+v: %s", c, name)
		}
		seen[name] = true
	}
}

func TestEnvironmentHasSettingsButNoSecrets(t *testing.T) {
	chosen, withheld := ChooseVariables([]string{
		"PATH=/usr/bin", "HTTPS_PROXY=http://proxy", "DISPLAY=:0", "SSH_AUTH_SOCK=/tmp/a", "TMPDIR=",
		"AWS_PROFILE=work", "AWS_SECRET_ACCESS_KEY=hush", "AWS_ACCESS_KEY_ID=id", "AWS_SESSION_TOKEN=hush",
		"AWS_WEB_IDENTITY_TOKEN_FILE=/t", "GOOGLE_APPLICATION_CREDENTIALS=/g", "SKYCONF_DIR=/elsewhere",
		"AZURE_STORAGE_CONNECTION_STRING=AccountKey=hush", "OCI_CLI_KEY_CONTENT=hush", "OCI_CLI_PASSPHRASE=hush",
	}, []string{"SKYCONF_DIR=/state", "SKYCTL_DEV_UI_PORT=9000"})
	want := []Variable{{"AWS_PROFILE", "work"}, {"AWS_WEB_IDENTITY_TOKEN_FILE", "/t"},
		{"GOOGLE_APPLICATION_CREDENTIALS", "/g"}, {"HTTPS_PROXY", "http://proxy"}, {"PATH", "/usr/bin"},
		{"SKYCONF_DIR", "/state"}, {"SKYCTL_DEV_UI_PORT", "9000"}}
	if !slices.Equal(chosen, want) {
		t.Errorf("chosen: %v", chosen)
	}
	if !slices.Equal(withheld, []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AZURE_STORAGE_CONNECTION_STRING", "OCI_CLI_KEY_CONTENT", "OCI_CLI_PASSPHRASE"}) {
		t.Errorf("withheld: %v", withheld)
	}
}
