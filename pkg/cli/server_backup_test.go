package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
)

func TestServerIsBackedUpAndRestoredElsewhere(t *testing.T) {
	p := newLocalUser(t)
	files := t.TempDir()
	file, keyFile := filepath.Join(files, "b"), filepath.Join(files, "key")
	if first := p.run("server", "backup", file); first.code != ExitUsage ||
		!strings.Contains(first.err, "there is no terminal to show it on") {
		t.Fatalf("exit %d: %s%s", first.code, first.out, first.err)
	}
	if left, err := os.ReadDir(files); err != nil || len(left) > 0 {
		t.Errorf("files were written: %v, %v", left, err)
	}
	if st := p.run("server", "status"); !strings.Contains(st.out, "last backup  none") {
		t.Errorf("status: %s", st.out)
	}
	if got := p.run("server", "backup", file, "--recovery-key-file", keyFile); got.code != 0 ||
		!strings.Contains(got.out, "0 clusters and 0 machines") || strings.Contains(got.out+got.err, "AGE-SECRET") {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the key: %v, %v", info, err)
	}
	for says, args := range map[string][]string{
		"--force":            {file},
		"sealed to the reco": {file + "2", "--recovery-key-file", keyFile + "2"},
		"age1":               {file + "2", "--recipient", "me"},
		"use one of them":    {file + "2", "--recipient", "age1x", "--new-recovery-key"},
		"never overwritten":  {file + "2", "--recovery-key-file", keyFile, "--new-recovery-key"},
		"no such file":       {filepath.Join(files, "no", "b")},
	} {
		got := p.run(append([]string{"server", "backup"}, args...)...)
		if got.code != ExitUsage && got.code != ExitConflict || !strings.Contains(got.err, says) {
			t.Errorf("%v: exit %d: %s", args, got.code, got.err)
		}
	}
	if got := p.run("server", "backup", file, "--force"); got.code != 0 { // needs no key
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if st := p.run("server", "status"); !strings.Contains(st.out, "ago") || !strings.Contains(st.out, file) {
		t.Errorf("status: %s", st.out)
	}
	if got := p.run("server", "restore", file, "--recovery-key-file", keyFile, "--force"); got.code != ExitConflict ||
		!strings.Contains(got.err, "skyctl server stop") {
		t.Errorf("into its own directory: exit %d: %s", got.code, got.err)
	}
	p.run("server", "stop")
	checkRestore(t, file, keyFile)
}

func checkRestore(t *testing.T, file, keyFile string) {
	t.Helper()
	q := newLocalUser(t)
	q.env[config.EnvDir] = filepath.Join(t.TempDir(), "new")
	wrong := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(wrong, []byte("secret words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, args := range map[string][]string{
		"no terminal":        {file},
		"not a recovery key": {file, "--recovery-key-file", wrong},
		"not a backup":       {wrong, "--recovery-key-file", keyFile},
		"cannot be read":     {file + "3", "--recovery-key-file", keyFile},
	} {
		got := q.run(append([]string{"server", "restore"}, args...)...)
		if got.code != ExitUsage || !strings.Contains(got.err, says) || strings.Contains(got.err, "secret words") {
			t.Errorf("%v: exit %d: %s", args, got.code, got.err)
		}
	}
	if _, err := os.Stat(q.env[config.EnvDir]); !os.IsNotExist(err) {
		t.Errorf("the directory was created: %v", err)
	}
	got := q.run("server", "restore", file, "--recovery-key-file", keyFile)
	if got.code != 0 || !strings.Contains(got.err, "skyctl server adopt") {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if again := q.run("server", "restore", file, "--recovery-key-file", keyFile); again.code != ExitConflict ||
		!strings.Contains(again.err, "--force") {
		t.Errorf("again: exit %d: %s", again.code, again.err)
	}
	// The restored state knows the recipient: its backups need no new key.
	if got := q.run("server", "backup", file+"4"); got.code != 0 {
		t.Errorf("a backup of the restored state: exit %d: %s", got.code, got.err)
	}
}

var secretKeyPattern = regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]+`)

func TestTerminalShowsTheRecoveryKeyOnce(t *testing.T) {
	p := newLocalUser(t)
	file := filepath.Join(t.TempDir(), "b")
	term := pseudoterminal.Open(t, 120, 24)
	if code := Run(t.Context(), p.onTerminal(term), []string{"server", "backup", file}); code != ExitOK {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	var key string
	eventually.Holds(t, "the key is shown", func() bool {
		key = secretKeyPattern.FindString(term.Text())
		return key != ""
	})
	again := pseudoterminal.Open(t, 120, 24)
	if code := Run(t.Context(), p.onTerminal(again), []string{"server", "backup", file, "--force"}); code != ExitOK ||
		strings.Contains(again.Text(), "AGE-SECRET") {
		t.Errorf("exit %d: %s", code, again.Text())
	}
	p.run("server", "stop")
	if err := filepath.WalkDir(p.env[config.EnvDir], func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte(key)) {
			t.Errorf("%s has the key, or %v", path, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}

	q := newLocalUser(t)
	prompt := pseudoterminal.Open(t, 120, 24)
	ended := make(chan int, 1)
	go func() { ended <- Run(t.Context(), q.onTerminal(prompt), []string{"server", "restore", file}) }()
	eventually.Holds(t, "it asks for the key", func() bool {
		return strings.Contains(prompt.Text(), "Recovery key (it is not shown): ") && !echoes(t, prompt)
	})
	if _, err := prompt.Near.WriteString(key + "\n"); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "it asks for the adoption", func() bool {
		return strings.Contains(prompt.Text(), "Adopt the state now? [y/N]")
	})
	if _, err := prompt.Near.WriteString("n\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != ExitOK || strings.Contains(prompt.Text(), key) {
		t.Errorf("exit %d: %s", code, prompt.Text())
	}
	eventually.Holds(t, "it says what comes next", func() bool {
		return strings.Contains(prompt.Text(), "skyctl server adopt")
	})
}

func TestExternalServersAreNotBackedUpOrRestored(t *testing.T) {
	p := newExternalUser(t)
	for _, verb := range []string{"backup", "restore"} {
		if got := p.run("server", verb, filepath.Join(t.TempDir(), "f")); got.code != ExitUsage ||
			!strings.Contains(got.err, "external servers are configured") {
			t.Errorf("%s: exit %d: %s", verb, got.code, got.err)
		}
	}
}

func TestRestoredSnapshotsInAnotherDirectoryAreToBeMoved(t *testing.T) {
	dir := t.TempDir()
	settings := &config.Config{Dir: dir, Snapshots: config.Snapshots{Dir: filepath.Join(dir, "snapshots")}}
	if text := describeSnapshotMove(settings); text != "" {
		t.Errorf("in the default directory: %q", text)
	}
	settings.Snapshots.Dir = "/mnt/snapshots"
	if text := describeSnapshotMove(settings); !strings.Contains(text, filepath.Join(dir, "snapshots")) ||
		!strings.Contains(text, "/mnt/snapshots") {
		t.Errorf("in another directory: %q", text)
	}
}
