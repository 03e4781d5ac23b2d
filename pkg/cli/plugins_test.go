package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

// asSkyctl is the environment variable with which this program is skyctl.
const asSkyctl = "TEST_RUN_AS_SKYCTL"

// writePlugin writes a shell script into a directory.
func writePlugin(t *testing.T, dir, name, script string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPluginReplacesTheProcess(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "skyctl-foo", "#!/bin/sh\necho \"$$ foo:$#:$1:$2:$IN_ENV:$(cat)\"; echo bad >&2; exit 42\n")
	cmd := exec.Command(os.Args[0], "foo", "bar", "--flag=a b")
	cmd.Env = []string{asSkyctl + "=1", "PATH=" + dir + ":/usr/bin:/bin", "IN_ENV=seen", "HOME=" + dir}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("input"), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	pid, said, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	if code := cmd.ProcessState.ExitCode(); code != 42 || said != "foo:2:bar:--flag=a b:seen:input" ||
		errs.String() != "bad\n" {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
	if want := cmd.Process.Pid; pid != "" && pid != strconv.Itoa(want) {
		t.Errorf("the plugin is process %s, not %d: it does not get the signals", pid, want)
	}
}

// pluginRun is what a command replaced its process by.
type pluginRun struct{ args []string }

// runWithPlugins runs a command whose plugins are only recorded.
func runWithPlugins(t *testing.T, path string, args ...string) (runResult, *pluginRun) {
	t.Helper()
	var out, errs lockedbuffer.Buffer
	var ran *pluginRun
	p := &testUser{t: t, env: map[string]string{"PATH": path, "HOME": t.TempDir()}}
	env := p.environment(new(bytes.Buffer), &out, &errs)
	env.Exec = func(_ string, args, _ []string) error {
		ran = &pluginRun{args: append([]string{filepath.Base(args[0])}, args[1:]...)}
		return &reportedError{os.ErrProcessDone}
	}
	code := Run(t.Context(), env, args)
	return runResult{out: out.String(), err: errs.String(), code: code}, ran
}

func TestOnlyUnknownCommandsArePlugins(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"skyctl-foo", "skyctl-foo-bar", "skyctl-version", "skyctl-get-clusters", "skyctl-get",
		"skyctl-help", "skyctl-options", "skyctl-create-thing"} {
		writePlugin(t, dir, name, "#!/bin/sh\n")
	}
	for line, want := range map[string]string{
		"foo":             "skyctl-foo",
		"foo bar baz":     "skyctl-foo-bar baz",
		"foo --help":      "skyctl-foo --help",
		"foo -o json bar": "skyctl-foo -o json bar",
		"help":            "",
		"help options":    "",
		"get --help":      "",
		"create thing":    "",
		"absent":          "",
		"__complete foo":  "",
		"--help foo":      "",
	} {
		got, ran := runWithPlugins(t, dir, strings.Fields(line)...)
		if ran == nil && want == "" || ran != nil && strings.Join(ran.args, " ") == want {
			continue
		}
		t.Errorf("skyctl %s ran %v, want %q (%s)", line, ran, want, got.err)
	}
}

func TestUnknownCommandWithoutPluginKeepsItsError(t *testing.T) {
	got, _ := runWithPlugins(t, t.TempDir(), "crate")
	if got.code != ExitUsage || !strings.Contains(got.err, `unknown command "crate" for skyctl; did you mean create?`) {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
}

func TestFlagsBeforeThePluginAreRefused(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "skyctl-foo", "#!/bin/sh\n")
	got, ran := runWithPlugins(t, dir, "--config-dir", "/nowhere", "foo", "bar")
	if ran != nil || got.code != ExitUsage || !strings.Contains(got.err, "write them behind skyctl foo") {
		t.Errorf("ran %v, exit %d, %q", ran, got.code, got.err)
	}
}

func TestPluginListWarnsOfWhatCannotRun(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	writePlugin(t, first, "skyctl-foo", "")
	got, _ := runWithPlugins(t, first, "plugin", "list")
	if got.code != 0 || got.err != "" || got.out != "NAME  PROGRAM\nfoo   "+first+"/skyctl-foo\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	writePlugin(t, second, "skyctl-foo", "")
	writePlugin(t, second, "skyctl-get-it", "")
	if err := os.Chmod(writePlugin(t, second, "skyctl-plain", ""), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _ = runWithPlugins(t, first+":"+second, "plugin", "list", "--name-only")
	wants := []string{
		"Warning: " + second + "/skyctl-foo does not run: " + first + "/skyctl-foo stands before it on PATH\n",
		"Warning: " + second + "/skyctl-get-it never runs: skyctl get is a command of skyctl\n",
		"Warning: " + second + "/skyctl-plain does not run: the file is not executable (chmod +x)\n"}
	if got.code != ExitFailed || got.out != "foo\nfoo\nget it\nplain\n" || got.err != strings.Join(wants, "") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	if got, _ = runWithPlugins(t, t.TempDir(), "plugin", "list"); got.code != 0 || got.out != "" {
		t.Errorf("without plugins: exit %d, %q", got.code, got.out)
	}
}

func TestPluginsAreCompleted(t *testing.T) {
	dir := t.TempDir()
	foo := writePlugin(t, dir, "skyctl-foo", "")
	writePlugin(t, dir, "skyctl-foo-bar", "")
	writePlugin(t, dir, "skyctl-get", "")
	writePlugin(t, dir, "skyctl_complete-foo", "#!/bin/sh\nfor a; do echo \"got-$a\"; done; echo :4\n")
	for line, want := range map[string][]string{
		"__complete fo":               {"foo\tPlugin " + foo, ":4"},
		"__completeNoDesc foo --x y ": {"got---x", "got-y", "got-", ":4"},
		"__completeNoDesc foo bar ":   {":0"},
	} {
		args := strings.Split(line, " ")
		got, _ := runWithPlugins(t, dir, args...)
		if lines := strings.Split(strings.TrimSpace(got.out), "\n"); !slices.Equal(lines, want) {
			t.Errorf("%s: %q (%s)", line, lines, got.err)
		}
	}
}
