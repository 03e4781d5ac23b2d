package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// newFile returns the file of a person with a new home; it has a text unless that is empty.
func newFile(t *testing.T, text string) File {
	t.Helper()
	home := t.TempDir()
	f := Locate(func(name string) string { return map[string]string{"HOME": home}[name] })
	if want := filepath.Join(home, ".config", "skyctl", "contexts.yaml"); f.Path != want {
		t.Fatalf("the file is %s, want %s", f.Path, want)
	}
	if text != "" {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func requireText(t *testing.T, f File, want string) {
	t.Helper()
	if got, err := os.ReadFile(f.Path); err != nil || string(got) != want {
		t.Errorf("the file has %q, %v; want %q", got, err, want)
	}
}

func TestContextsAreLocatedAsXDGSays(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/home/ada"}, "/home/ada/.config/skyctl/contexts.yaml"},
		{map[string]string{"HOME": "/home/ada", "XDG_CONFIG_HOME": "/etc/ada"}, "/etc/ada/skyctl/contexts.yaml"},
		{map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/skyctl/contexts.yaml"},
		{nil, ""},
	} {
		if f := Locate(func(name string) string { return tt.env[name] }); f.Path != tt.want {
			t.Errorf("%v: %s, want %s", tt.env, f.Path, tt.want)
		}
	}
	if all, err := (File{}).Read(); err != nil || len(all.Named) != 0 {
		t.Errorf("without a home: %+v, %v", all, err)
	}
	if err := (File{}).SetContext(t.Context(), "team", "/team"); err == nil ||
		!strings.Contains(err.Error(), "set $HOME") {
		t.Errorf("without a home: %v", err)
	}
}

func TestContextsAreReadFromTheFile(t *testing.T) {
	f := newFile(t, "# mine\ncurrent-context: team\ncontexts:\n  team: /srv/team/\n  lab: ~/lab\n  tilde: '~'\n"+
		"  7: /seven\n")
	got, err := f.Read()
	want := Contexts{Current: "team", Named: []Context{{"7", "/seven"}, {"lab", f.home + "/lab"}, {"team", "/srv/team"},
		{"tilde", f.home}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "contexts:\n", "contexts: {}\ncurrent-context: null\n"} {
		if got, err := newFile(t, text).Read(); err != nil || got.CurrentName() != Default || len(got.Named) != 0 {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestDamagedFileIsAnErrorWithItsLine(t *testing.T) {
	for text, says := range map[string]string{
		"a: [\n":                                  ":1: it is not YAML: ",
		"contexts:\n  a: b: c\n":                  ":2: it is not YAML: mapping values are not allowed",
		"\ncurrentContext: a\n":                   `:2: unknown key "currentContext"; valid keys: current-context, c`,
		"contexts:\n  a: /a\n  b: /b\n  a: /c\n":  ":4: a is there twice",
		"contexts: {}\ncurrent-context: [a]\n":    ":2: current-context must be a text",
		"contexts:\n- a\n":                        ":2: contexts must be a mapping",
		"- a\n":                                   ":1: the file must be a mapping",
		"contexts:\n  default: /x\n":              ":2: context default is always",
		"contexts:\n  my team: /x\n":              `:2: "my team" is not a name`,
		"contexts:\n  a: /a\n  team: team\n":      ":3: the directory of context team is \"team\": write an abs",
		"contexts:\n  team:\n":                    ":2: the directory of context team is \"\"",
		"contexts:\n  team: {config-dir: /x}\n":   ":2: the directory of context team must be a text",
		"contexts:\n  team: &a /x\n  lab: *a\n":   ":3: the directory of context lab must be a text",
		"contexts: {}\n---\ncontexts: {}\n":       ":2: a line --- begins a second document",
		"contexts:\n  team: ~ada/.skyconf-team\n": ":2: the directory of context team is \"~ada",
	} {
		f := newFile(t, text)
		_, err := f.Read()
		if wrong := new(InputError); !errors.As(err, &wrong) || !strings.Contains(err.Error(), f.Path+says) ||
			!strings.Contains(err.Error(), "--config-dir and $SKYCONF_DIR work without it") {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
		if err := f.SetContext(t.Context(), "team", "/team"); err == nil {
			t.Errorf("%q was changed", text)
		}
		requireText(t, f, text)
	}
}

func TestFileThatOthersCanWriteIsNotTrusted(t *testing.T) {
	f := newFile(t, "contexts:\n  team: /team\n")
	if err := os.Chmod(f.Path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{readError(f), f.UseContext(t.Context(), "team")} {
		if err == nil || !strings.Contains(err.Error(), "chmod go-w "+f.Path) {
			t.Errorf("%v", err)
		}
	}
}

func readError(f File) error {
	_, err := f.Read()
	return err
}

func TestChangesKeepCommentsAndTheRest(t *testing.T) {
	ctx := t.Context()
	const head, ann = "# mine\ncontexts:\n  # of the team\n", " # ask Ann\n\n"
	f := newFile(t, head+"  team: /old"+ann+"  lab: /lab\ncurrent-context: 'lab' # for now\n")
	for _, step := range []struct {
		change func() error
		want   string
	}{
		{func() error { return f.SetContext(ctx, "team", "/new") },
			head + "  team: /new" + ann + "  lab: /lab\ncurrent-context: 'lab' # for now\n"},
		{func() error { return f.UseContext(ctx, "team") },
			head + "  team: /new" + ann + "  lab: /lab\ncurrent-context: 'team' # for now\n"},
		{func() error { return f.RenameContext(ctx, "team", "vision") },
			head + "  vision: /new" + ann + "  lab: /lab\ncurrent-context: 'vision' # for now\n"},
		{func() error { return f.DeleteContexts(ctx, "lab", "never") },
			head + "  vision: /new" + ann + "current-context: 'vision' # for now\n"},
		{func() error { return f.UseContext(ctx, Default) },
			head + "  vision: /new" + ann + "current-context: 'default' # for now\n"},
		{func() error { return f.DeleteContexts(ctx, "vision") },
			"# mine\ncontexts: {}\n  # of the team\n\ncurrent-context: 'default' # for now\n"},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		requireText(t, f, step.want)
	}
}

func TestNewFileIsForThisUserAndGoesWithItsLastContext(t *testing.T) {
	ctx, f := t.Context(), newFile(t, "")
	if err := f.UseContext(ctx, Default); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.Path); err == nil {
		t.Error("nothing to write was written")
	}
	if err := errors.Join(f.SetContext(ctx, "team", "/team"), f.UseContext(ctx, "team")); err != nil {
		t.Fatal(err)
	}
	requireText(t, f, "contexts:\n  team: /team\ncurrent-context: team\n")
	for path, mode := range map[string]os.FileMode{f.Path: 0o600, filepath.Dir(f.Path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := f.DeleteContexts(ctx, "team"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(f.Path)); !os.IsNotExist(err) {
		t.Errorf("an empty folder is left: %v", err)
	}
}

func TestInvalidChangesAreRefused(t *testing.T) {
	const text = "contexts:\n  team: /team\n  lab: /lab\n"
	ctx, f := t.Context(), newFile(t, text)
	for says, err := range map[string]error{
		"cannot be changed or deleted":    f.SetContext(ctx, Default, "/x"),
		"is not a name of a context":      f.SetContext(ctx, "my team", "/x"),
		"did you mean team?":              f.UseContext(ctx, "tean"),
		`"nope" does not exist. The cont`: f.RenameContext(ctx, "nope", "x"),
		"lab exists already":              f.RenameContext(ctx, "team", "lab"),
		"is always the directory":         f.RenameContext(ctx, "team", Default),
	} {
		if wrong := new(InputError); !errors.As(err, &wrong) ||
			!strings.Contains(fmt.Sprint(err), says) || strings.Contains(fmt.Sprint(err), f.Path) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	requireText(t, f, text)
}

func TestFormThatCannotBeChangedIsRefused(t *testing.T) {
	const text = "contexts:\n  team: >-\n    /team\n"
	f := newFile(t, text)
	if err := f.SetContext(t.Context(), "team", "/x"); err == nil ||
		!strings.Contains(err.Error(), "changing "+f.Path) || !strings.Contains(err.Error(), "with an editor") {
		t.Errorf("%v", err)
	}
	requireText(t, f, text)
}

func TestChangesExcludeEachOther(t *testing.T) {
	f := newFile(t, "# mine\n")
	var group sync.WaitGroup
	const writers = 8
	errs := make([]error, writers)
	for i := range writers {
		group.Go(func() { errs[i] = f.SetContext(t.Context(), fmt.Sprint("team-", i), fmt.Sprint("/team-", i)) })
	}
	group.Wait()
	if all, err := f.Read(); err != nil || len(all.Named) != writers || errors.Join(errs...) != nil {
		t.Errorf("%d writers wrote %+v: %v, %v", writers, all, err, errs)
	}
}

func TestHeldLockIsNamed(t *testing.T) {
	f := newFile(t, "# mine\n")
	if err := os.WriteFile(f.Path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	err := f.SetContext(ctx, "team", "/team")
	if err == nil || !strings.Contains(err.Error(), "another skyctl has held the lock "+f.Path+".lock for ") {
		t.Errorf("%v", err)
	}
	requireText(t, f, "# mine\n")
}
