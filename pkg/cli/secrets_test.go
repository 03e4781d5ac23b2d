package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
)

// newSecretUser returns a user who has the secrets key. The secrets that the test names are deleted with it.
func newSecretUser(t *testing.T, secrets ...string) *testUser {
	t.Helper()
	if err := world.Store.CheckSecretsKey(t.Context(), time.Now()); err != nil { // as a worker does when it starts
		t.Fatal(err)
	}
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	t.Cleanup(func() {
		for _, name := range secrets {
			_ = world.Store.DeleteNamedSecret(context.Background(), name, true) // the test may have deleted it
		}
	})
	return p
}

func readSecret(t *testing.T, name string) map[string]string {
	t.Helper()
	read, err := world.Store.ReadNamedSecret(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for key, value := range read.Values {
		values[key] = string(value)
	}
	return values
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretIsStoredListedReplacedAndDeleted(t *testing.T) {
	p := newSecretUser(t, "cli-login", "cli-other")
	p.in = "hunter-2222\n"
	file := writeFile(t, "token", "hunter-3333\n")
	env := writeFile(t, "login.env", "# of the registry\n\nA=hunter-4444\nB=\"x = y\"\n")
	got := p.run("create", "secret", "cli-login", "--from-literal", "username=ann=a,b", "--from-stdin", "password",
		"--from-file", file, "--from-file", "copy="+file, "--from-env-file", env)
	if got.code != ExitOK || got.out != "Stored secret cli-login.\n" {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.err)
	}
	values := readSecret(t, "cli-login")
	for key, want := range map[string]string{"username": "ann=a,b", "password": "hunter-2222", "token": "hunter-3333\n",
		"copy": "hunter-3333\n", "A": "hunter-4444", "B": `"x = y"`} {
		if values[key] != want {
			t.Errorf("%s is %q", key, values[key])
		}
	}
	if got := p.run("create", "secret", "cli-login", "--from-literal", "a=x"); got.code != ExitConflict ||
		!strings.Contains(got.err, "--replace") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	for _, form := range []string{"table", "wide", "json", "yaml"} {
		got := p.run("get", "secrets", "-o", form)
		if got.code != ExitOK || !strings.Contains(got.out, "cli-login") ||
			strings.Contains(got.out+got.err, "hunter") {
			t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
		}
	}
	var one render.SecretView
	if err := json.Unmarshal([]byte(p.run("get", "secret", "cli-login", "-o", "json").out), &one); err != nil ||
		len(one.Keys) != 6 || one.Size != 60 {
		t.Errorf("%+v, %v", one, err)
	}
	got = p.run("create", "secret", "cli-login", "--replace", "--from-literal", "token=hunter-5555")
	if got.code != ExitOK || !strings.Contains(got.out, "Replaced the values of secret cli-login.") ||
		len(readSecret(t, "cli-login")) != 1 {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("delete", "secret", "cli-login"); got.code != ExitUsage || !strings.Contains(got.err, "--yes") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if got := p.run("delete", "secret", "cli-login", "--yes"); got.code != ExitOK {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	for _, args := range [][]string{{"delete", "secret", "cli-login", "--yes"}, {"get", "secret", "cli-login"}} {
		if got := p.run(args...); got.code != ExitNotFound ||
			!strings.Contains(got.err, `there is no secret "cli-login"`) {
			t.Errorf("%v: exit %d: %s", args, got.code, got.err)
		}
	}
}

func TestInvalidSecretIsRefusedWithoutQuotingIt(t *testing.T) {
	p := newSecretUser(t, "cli-bad")
	large := writeFile(t, "large", strings.Repeat("x", api.MaxSecretBytes+1))
	noKey := writeFile(t, "no-key.env", "A=1\nhunter-2222\n")
	badKey := writeFile(t, "bad-key.env", "hunter 2222=x\n")
	for want, args := range map[string][]string{
		"a secret needs a value":    {},
		"--from-literal needs KEY":  {"--from-literal", "hunter-2222"},
		"given twice":               {"--from-literal", "a=hunter-2222", "--from-literal", "a=hunter-3333"},
		"not empty":                 {"--from-literal", "a="},
		"key of a secret":           {"--from-literal", "a/b=hunter-2222"},
		"no such file":              {"--from-file", "a=/nowhere/secret"},
		"more than 64 KiB":          {"--from-file", large},
		"line 2: it needs KEY":      {"--from-env-file", noKey},
		"line 1: it needs KEY":      {"--from-env-file", badKey},
		"repeated only on a":        {"--from-stdin", "a", "--from-stdin", "b"},
		"at most 64 KiB in all its": {"--from-literal", "a=" + strings.Repeat("x", api.MaxSecretBytes+1)},
	} {
		got := p.run(append([]string{"create", "secret", "cli-bad"}, args...)...)
		if got.code != ExitUsage || !strings.Contains(got.err, want) || strings.Contains(got.err, "hunter") {
			t.Errorf("%.40v: exit %d: %s", args, got.code, got.err)
		}
	}
	if got := p.run("create", "secret", "Bad Name", "--from-literal", "a=x"); got.code != ExitUsage {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	delete(p.env, "SKYCTL_SECRETS_KEY_FILE")
	if got := p.run("create", "secret", "cli-bad", "--from-literal", "a=x"); got.code == ExitOK ||
		!strings.Contains(got.err, "secrets key") {
		t.Errorf("without the key: exit %d: %s", got.code, got.err)
	}
	p.env["SKYCTL_SECRETS_KEY_FILE"] = writeFile(t, "other.key", strings.Repeat("ab", 32))
	if got := p.run("create", "secret", "cli-bad", "--from-literal", "a=x"); got.code == ExitOK ||
		!strings.Contains(got.err, "another key") {
		t.Errorf("with another key: exit %d: %s", got.code, got.err)
	}
	if all, err := world.Store.ListNamedSecrets(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("stored %v, %v", all, err)
	}
}

func TestTerminalDoesNotShowTheValueOfASecret(t *testing.T) {
	p := newSecretUser(t, "cli-typed")
	term := pseudoterminal.Open(t, 80, 24)
	ended := make(chan int, 1)
	go func() {
		ended <- Run(t.Context(), p.onTerminal(term), []string{"create", "secret", "cli-typed", "--from-stdin", "first",
			"--from-stdin", "second"})
	}()
	for _, key := range []string{"first", "second"} {
		eventually.Holds(t, "it asks for "+key, func() bool {
			return strings.Contains(term.Text(), "Value of "+key+" (it is not shown): ") && !echoes(t, term)
		})
		if _, err := term.Near.WriteString("hunter-" + key + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	if code := <-ended; code != ExitOK || strings.Contains(term.Text(), "hunter") || !echoes(t, term) {
		t.Errorf("exit %d: %s", code, term.Text())
	}
	if values := readSecret(t, "cli-typed"); values["first"] != "hunter-first" || values["second"] != "hunter-second" {
		t.Errorf("stored %v", values)
	}
}

func echoes(t *testing.T, term *pseudoterminal.Terminal) bool {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(term.Far.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return mode.Lflag&unix.ECHO != 0
}

func TestInterruptedPromptShowsInputAgain(t *testing.T) {
	p := newSecretUser(t, "cli-cut")
	term := pseudoterminal.Open(t, 80, 24)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, p.onTerminal(term), []string{"create", "secret", "cli-cut", "--from-stdin", "key"})
	}()
	eventually.Holds(t, "it asks", func() bool {
		return strings.Contains(term.Text(), "Value of key") && !echoes(t, term)
	})
	interrupt()
	if code := <-ended; code != ExitInterrupted || !echoes(t, term) {
		t.Errorf("exit %d, echo %v: %s", code, echoes(t, term), term.Text())
	}
	eventually.Holds(t, "it says so", func() bool { return strings.Contains(term.Text(), "Nothing was stored.") })
}

func TestSecretInUseIsDeletedOnlyByForce(t *testing.T) {
	p := newSecretUser(t, "cli-used")
	p.run("create", "secret", "cli-used", "--from-literal", "token=hunter-2222")
	c := api.NewCluster("secret-user", "uid-secret-user", api.GroupSpec{Provision: true, NumNodes: 1}, nil,
		fixture.Noon)
	c.Spec.RKE2.Registries = []api.Registry{{Host: "r.example.com", Secret: "cli-used"}}
	if _, err := world.Store.CreateCluster(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.ClearState(t) })
	if got := p.run("delete", "secret", "cli-used", "--yes"); got.code != ExitConflict ||
		!strings.Contains(got.err, "in use by secret-user") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if got := p.run("get", "secrets", "-o", "wide"); !strings.Contains(got.out, "secret-user") {
		t.Error(got.out)
	}
	shown := p.run("describe", "cluster", "secret-user").out + p.run("get", "cluster", "secret-user", "-o", "yaml").out
	if strings.Contains(shown, "hunter") || !strings.Contains(shown, "r.example.com (secret cli-used)") {
		t.Error(shown)
	}
	if got := p.run("delete", "secret", "cli-used", "--yes", "--force"); got.code != ExitOK {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

func TestSecretNamesAreCompleted(t *testing.T) {
	p := newSecretUser(t, "cli-offered")
	p.run("create", "secret", "cli-offered", "--from-literal", "token=hunter-2222")
	for _, verb := range []string{"get", "delete"} {
		if got := p.run("__complete", verb, "secret", ""); !strings.Contains(got.out, "cli-offered") {
			t.Errorf("%s: %s", verb, got.out)
		}
	}
}

func TestFileRefersToSecretsThatExist(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t, "cli-proxy")
	env := "  rke2:\n    env:\n    - {name: HTTPS_PROXY, secret: cli-proxy, key: url}\n"
	file := newFile(t, "proxied", 1, env)
	if got := p.run("apply", "-f", file); got.code != ExitUsage || !strings.Contains(got.err,
		"proxied.yaml:11:35: spec.rke2.env[HTTPS_PROXY].secret: ") ||
		!strings.Contains(got.err, "want a secret that exists; to store it: skyctl create secret cli-proxy") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	p.run("create", "secret", "cli-proxy", "--from-literal", "url=http://ann:hunter-2222@proxy:3128")
	p.newApplied("proxied", file)
	p.run("apply", "-f", file).checkOutput(t, 0, "unchanged", "")
	p.run("diff", "-f", newFile(t, "proxied", 1)).checkOutput(t, ExitUsage, "", "RKE2 reads it as it starts")
	shown := p.run("get", "cluster", "proxied", "-o", "yaml")
	if !strings.Contains(shown.out, "secret: cli-proxy") || strings.Contains(shown.out, "hunter") {
		t.Error(shown.out)
	}
}
