package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/contexts"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// newUserWithHome returns a user with an empty home directory, without $SKYCONF_DIR.
func newUserWithHome(t *testing.T) (p *testUser, home string) {
	home = t.TempDir()
	return &testUser{t: t, env: map[string]string{"HOME": home}}, home
}

// makeDir creates a directory below the user's home, with a config.yaml unless that is empty.
func (p *testUser) makeDir(name, settings string) string {
	p.t.Helper()
	dir := filepath.Join(p.env["HOME"], name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if settings != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(settings), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

// writeContexts writes the user's file of contexts, and returns its path.
func (p *testUser) writeContexts(text string) string {
	p.t.Helper()
	path := filepath.Join(p.makeDir(".config/skyctl", ""), "contexts.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func TestContextsAreAddedUsedRenamedAndDeleted(t *testing.T) {
	p, home := newUserWithHome(t)
	team := p.makeDir("team", "rke2.cni: cilium\n")
	file := filepath.Join(home, ".config", "skyctl", "contexts.yaml")
	p.run("config", "current-context").check(t, 0, "default\n", "")
	p.run("config", "set-context", "team", "--config-dir", team).check(t, 0, "Added context team ("+team+").\n",
		"To use it: skyctl config use-context team\n")
	p.run("config", "set-context", "team", "--config-dir", "~/team").check(t, 0,
		"Context team is unchanged ("+team+").\n", "")
	p.run("config", "get", "rke2.cni").check(t, 0, "\n", "")
	p.run("config", "use-context", "team").check(t, 0, "Switched to context team ("+team+").\n", "")
	p.run("config", "current-context").check(t, 0, "team\n", "")
	p.run("config", "get", "rke2.cni").check(t, 0, "cilium\n", "")
	if got := p.run("config", "set", "rke2.cni", "calico"); got.code != 0 || !strings.Contains(got.out, team) {
		t.Errorf("exit %d: %q %q", got.code, got.out, got.err)
	}
	p.run("config", "rename-context", "team", "vision").check(t, 0, "Renamed context team to vision.\n", "")
	requireFile(t, file, "contexts:\n  vision: "+team+"\ncurrent-context: vision\n")
	p.run("config", "get", "rke2.cni").check(t, 0, "calico\n", "")
	p.run("config", "delete-context", "vision").check(t, 0, "Deleted context vision. Its directory stays: "+team+"\n",
		"Note: the current context is default\n")
	p.run("config", "get", "rke2.cni").check(t, 0, "\n", "")
	if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestFlagsAndVariablesOverrideTheCurrentContext(t *testing.T) {
	p, _ := newUserWithHome(t)
	one, two := p.makeDir("one", "rke2.cni: cilium\n"), p.makeDir("two", "rke2.cni: calico\n")
	own := p.makeDir(".skyconf", "rke2.cni: canal\n")
	p.writeContexts("contexts:\n  one: " + one + "\n  two: ~/two\ncurrent-context: one\n")
	get := []string{"config", "get", "rke2.cni"}
	for _, tt := range []struct {
		variable string
		flags    []string
		want     string
	}{
		{"", nil, "cilium"},
		{"", []string{"--context", "two"}, "calico"},
		{two, nil, "calico"},
		{two, []string{"--context", "one"}, "cilium"},
		{two, []string{"--context=default"}, "canal"},
		{two, []string{"--context", "one", "--config-dir", own}, "canal"},
	} {
		p.env[config.EnvDir] = tt.variable
		p.run(append(tt.flags, get...)...).check(t, 0, tt.want+"\n", "")
	}
	p.env[config.EnvDir] = two
	const note = "Note: $SKYCONF_DIR is set: commands use "
	for _, args := range [][]string{{"current-context"}, {"get-contexts"}, {"use-context", "two"}} {
		if got := p.run(append([]string{"config"}, args...)...); !strings.Contains(got.err, note+two) {
			t.Errorf("%v: exit %d, %q", args, got.code, got.err)
		}
	}
}

func TestContextsAreListedWithTheirServers(t *testing.T) {
	p, home := newUserWithHome(t)
	team := p.makeDir("team", "etcd.endpoints: https://ann:secret@e1:2379,https://e2:2379\n"+
		"temporal.address: t:7233\n")
	broken := p.makeDir("broken", "rke2.cnii: x\n")
	file := p.writeContexts("contexts:\n  team: " + team + "\n  broken: " + broken + "\n  gone: /nonexistent\n" +
		"current-context: team\n")
	p.env["SKYCTL_RKE2_CNI"] = "no such" // is nothing of an installation
	got := p.run("config", "get-contexts", "-o", "json")
	var list render.ContextList
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.code != 0 || got.err != "" {
		t.Fatalf("exit %d, %v: %s%s", got.code, err, got.out, got.err)
	}
	problem := list.Items[1].Problem
	want := []render.ContextView{
		{Name: "default", ConfigDir: filepath.Join(home, ".skyconf"), Server: "embedded skyd"},
		{Name: "broken", ConfigDir: broken, Problem: problem},
		{Name: "gone", ConfigDir: "/nonexistent", Problem: "the directory does not exist or cannot be read"},
		{Name: "team", Current: true, ConfigDir: team, Server: "https://redacted@e1:2379,https://e2:2379"},
	}
	if list.Kind != "ContextList" || list.File != file || !slices.Equal(list.Items, want) ||
		!strings.Contains(problem, "did you mean rke2.cni?") {
		t.Errorf("got  %+v\nwant %+v", list, want)
	}
	table := p.run("config", "get-contexts", "team", "default")
	lines := strings.Split(table.out, "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "CURRENT NAME CONFIG-DIR SERVER" ||
		strings.Join(strings.Fields(lines[2]), " ") != "* team "+team+" https://redacted@e1:2379,https://e2:2379" {
		t.Errorf("exit %d: %s%s", table.code, table.out, table.err)
	}
	p.run("config", "get-contexts", "-o", "name").check(t, 0, "default\nbroken\ngone\nteam\n", "")
	p.run("config", "get-contexts", "team", "--sort-by", ".name", "-o", "jsonpath={.items[*].name}").check(t, 0,
		"team", "")
	if got := p.run("config", "get-contexts", "--no-headers", "gone"); strings.Contains(got.out, "CURRENT") ||
		!strings.Contains(got.out, "unknown: the directory does not exist") {
		t.Errorf("exit %d: %s", got.code, got.out)
	}
	if got := p.run("config", "get-contexts", "-o", "yaml"); !strings.HasPrefix(got.out, "file: ") {
		t.Errorf("exit %d: %s", got.code, got.out)
	}
}

func TestInvalidContextsAreRefused(t *testing.T) {
	p, home := newUserWithHome(t)
	if err := os.WriteFile(filepath.Join(home, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const text = "contexts:\n  gone: /nonexistent\n  team: ~/team\n"
	path := p.writeContexts(text)
	for line, want := range map[string]string{
		"--context taem config view":                   `context "taem" does not exist; did you mean team?`,
		"--context= config view":                       "--context is empty",
		"--context gone get clusters":                  "which does not exist: mount it or create it (mkdir",
		"config use-context gone":                      "skyctl config set-context gone --config-dir DIR",
		"config use-context nope":                      `"nope" does not exist`,
		"config use-context":                           "missing the name of a context",
		"config get-contexts nope":                     `"nope" does not exist`,
		"config set-context lab":                       "skyctl config set-context lab --config-dir DIR\n",
		"config set-context lab --config-dir=":         "missing the directory of context lab",
		"config set-context lab --config-dir /a\x01b":  "it has characters that cannot be printed",
		"--config-dir= get clusters":                   "--config-dir is empty: name a directory",
		"config set-context":                           "missing the name of a context",
		"config set-context default --config-dir /x":   "is always the directory ~/.skyconf",
		"config set-context a/b --config-dir /x":       "is not a name of a context",
		"config set-context lab --config-dir ~/file":   "is not a directory",
		"config set-context lab --config-dir ~bob/x":   `the home directory in "~bob/x" is unknown`,
		"config delete-context default":                "cannot be changed or deleted",
		"config delete-context nope":                   `"nope" does not exist`,
		"config rename-context team":                   "takes the name of a context and a new one",
		"config rename-context team gone":              "gone exists already",
		"config rename-context team team":              "team has this name already",
		"config current-context x":                     "takes no arguments",
		"--context team config rename-context x y --z": "unknown flag: --z",
	} {
		if got := p.run(strings.Fields(line)...); got.code != ExitUsage || !strings.Contains(got.err, want) ||
			strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, want %q", line, got.code, got.err, want)
		}
	}
	requireFile(t, path, text)
	if _, err := os.Stat(filepath.Join(home, ".skyconf")); err == nil {
		t.Error("refused commands wrote into the state directory")
	}
}

func TestRelativeDirectoriesOfContextsAreMadeAbsolute(t *testing.T) {
	p, _ := newUserWithHome(t)
	dir := p.makeDir("here", "")
	t.Chdir(dir)
	got, below := p.run("config", "set-context", "lab", "--config-dir", "below"), filepath.Join(dir, "below")
	if got.code != 0 || got.out != "Added context lab ("+below+").\n" ||
		!strings.Contains(got.err, "Warning: "+below+" does not exist. For a new installation: mkdir") {
		t.Errorf("exit %d: %q %q", got.code, got.out, got.err)
	}
	got = p.run("config", "set-context", "lab", "--config-dir", ".")
	if got.code != 0 || got.out != "Changed context lab ("+dir+").\n" ||
		!strings.Contains(got.err, "Warning: "+dir+" has no config.yaml and no state of a server") {
		t.Errorf("exit %d: %q %q", got.code, got.out, got.err)
	}
	t.Setenv("PWD", "")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got := p.run("config", "set-context", "lab", "--config-dir", "lost"); got.code != ExitUsage ||
		!strings.Contains(got.err, "give an absolute path") {
		t.Errorf("in a directory that is gone: exit %d: %q %q", got.code, got.out, got.err)
	}
}

func TestDamagedContextsLeaveDirectoriesUsable(t *testing.T) {
	p, _ := newUserWithHome(t)
	own := p.makeDir(".skyconf", "rke2.cni: canal\n")
	file := p.writeContexts("contexts:\n  team: [\n")
	get := []string{"config", "get", "rke2.cni"}
	for _, args := range [][]string{get, {"get", "clusters"}, {"server", "stop"}, {"config", "get-contexts"},
		{"config", "use-context", "default"}, {"config", "set-context", "x", "--config-dir", own},
		{"--context", "team", "config", "view"}} {
		if got := p.run(args...); got.code != ExitUsage || got.out != "" || !strings.Contains(got.err, file+":") ||
			strings.Count(got.err, "\n") != 1 {
			t.Errorf("%v: exit %d: %q %q", args, got.code, got.out, got.err)
		}
	}
	for _, args := range [][]string{{"version"}, {"help"}, {"completion", "bash"}} {
		if got := p.run(args...); got.code != 0 {
			t.Errorf("%v: exit %d: %q", args, got.code, got.err)
		}
	}
	if got := p.run("version"); !strings.Contains(got.out, "skyd   unknown: reading the contexts: "+file) {
		t.Errorf("%q", got.out)
	}
	p.run(append([]string{"--config-dir", own}, get...)...).check(t, 0, "canal\n", "")
	p.run(append([]string{"--context", "default"}, get...)...).check(t, 0, "canal\n", "")
	p.env[config.EnvDir] = own
	p.run(get...).check(t, 0, "canal\n", "")
}

func TestCommandsNameTheContextThatTheyUse(t *testing.T) {
	p, _ := newUserWithHome(t)
	team := p.makeDir("team", "rke2.cni: cilium\n")
	p.writeContexts("contexts:\n  team: " + team + "\ncurrent-context: team\n")
	if got := p.run("version"); got.code != 0 || !strings.HasSuffix(got.out, "\nof context team ("+team+")\n") {
		t.Errorf("exit %d: %s", got.code, got.out)
	}
	note := "Note: these are the settings of context team (" + team + ")\n"
	if got := p.run("config", "view", "--only-set"); got.err != note {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	for _, args := range [][]string{{"version", "-o", "json"}, {"config", "view", "-o", "json"}} {
		if got := p.run(args...); got.err != "" || !strings.Contains(got.out, "\"context\": \"team\"") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	}
	for _, args := range [][]string{{"--context", "default", "version"}, {"--config-dir", team, "config", "view"}} {
		if got := p.run(args...); got.code != 0 || strings.Contains(got.out+got.err, "context") {
			t.Errorf("%v: exit %d: %s%s", args, got.code, got.out, got.err)
		}
	}
}

func TestQuestionsNameTheContext(t *testing.T) {
	for choice, want := range map[contexts.Choice]string{
		{Context: "team", Dir: "/srv"}: "This is about context team (/srv).\nDelete it? [y/N] ",
		{Context: contexts.Default}:    "Delete it? [y/N] ",
		{}:                             "Delete it? [y/N] ",
	} {
		var errs bytes.Buffer
		a := &app{env: Environment{In: strings.NewReader("n\n"), Err: &errs}, choice: &choice}
		if err := a.requireConfirmation(t.Context(), "Delete it?", "deleted"); err == nil || errs.String() != want {
			t.Errorf("%+v: %v, %q", choice, err, errs.String())
		}
	}
}

func TestContextsAreCompletedWithTheirDirectories(t *testing.T) {
	p, home := newUserWithHome(t)
	p.writeContexts("contexts:\n  team: /srv/team\n  test: /srv/test\n")
	own := "default\t" + home + "/.skyconf\n"
	team, test := "team\t/srv/team\n", "test\t/srv/test\n"
	for line, want := range map[string]string{
		"--context ":                    own + team + test + ":4\n",
		"get clusters --context tea":    team + ":4\n",
		"config use-context ":           own + team + test + ":4\n",
		"config use-context team ":      ":4\n",
		"config set-context ":           team + test + ":4\n",
		"config delete-context te":      team + test + ":4\n",
		"config rename-context ":        team + test + ":4\n",
		"config get-contexts team ":     own + test + ":4\n",
		"config current-context ":       ":4\n",
		"config rename-context team x ": ":4\n",
	} {
		got := p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...)
		if got.out != want {
			t.Errorf("%s: %q, want %q", line, got.out, want)
		}
	}
}

func TestUninstallRemovesTheContextsOfItsInstallation(t *testing.T) {
	p, _ := newRemovingUser(t, daemon.Belongings{})
	dir := p.env[config.EnvDir]
	link := filepath.Join(p.env["HOME"], "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	delete(p.env, config.EnvDir)
	file := p.writeContexts("contexts:\n  mine: " + dir + "\n  linked: " + link + "\n  other: /other\n" +
		"current-context: mine\n")
	listed := p.run("uninstall", "--dry-run")
	for _, name := range []string{"mine", "linked"} {
		if !strings.Contains(listed.out, "\n  context "+name+" (in "+file+")\n") {
			t.Errorf("context %s is not listed: exit %d: %s%s", name, listed.code, listed.out, listed.err)
		}
	}
	got := p.run("uninstall", "--yes")
	if got.code != 0 || strings.Contains(got.err, "other (") ||
		!strings.Contains(got.err, "the current context is default") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	requireFile(t, file, "contexts:\n  other: /other\n")
}

func TestUninstallWorksWithDamagedContexts(t *testing.T) {
	p, _ := newRemovingUser(t, daemon.Belongings{Items: []string{"Docker network skyctl-1"}})
	file := p.writeContexts("contexts: [\n")
	got := p.run("uninstall", "--yes")
	if got.code != 0 || !strings.Contains(got.err, "Contexts of this installation stay, if there are any: ") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	requireFile(t, file, "contexts: [\n")
}

func TestKubeconfigsOfOtherInstallationsDoNotCount(t *testing.T) {
	p, home := newUserWithHome(t)
	team := p.makeDir("team", "")
	p.writeContexts("contexts:\n  team: " + team + "\n")
	mine := filepath.Join(home, "mine")
	own := []string{filepath.Join(home, ".skyconf", "clusters", "dev", "kubeconfig"),
		filepath.Join(team, "clusters", "dev", "kubeconfig")}
	p.env["KUBECONFIG"] = strings.Join(append(slices.Clone(own), mine), string(os.PathListSeparator))
	a := &app{env: p.environment(nil, nil, nil), cfg: &config.Config{Dir: team}}
	person, err := a.findPerson()
	if err != nil || !slices.Equal(person.Files, []string{mine}) || !slices.Equal(person.Ignored, own) {
		t.Errorf("%+v, %v", person, err)
	}
}
