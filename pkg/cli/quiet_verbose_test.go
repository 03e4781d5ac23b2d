package cli

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/pseudoterminal"
)

func TestQuietCommandsPrintOnlyResultsAndErrors(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	if r := p.run(createArgs("silent", "--wait", "-q")...); r.code != ExitOK || r.err != "" ||
		!strings.HasPrefix(r.out, "Created cluster silent.\nCluster silent is READY: ") {
		t.Errorf("exit %d: %q %q", r.code, r.out, r.err)
	}
	p.run("-q", "wait", "cluster/silent", "--for=condition=Ready").check(t, ExitOK,
		"cluster/silent condition met\n", "")
	p.run("get", "clusters", "-l", "team=nobody", "--no-headers", "--quiet").check(t, ExitOK, "", "")
	if r := p.run("get", "cluster", "absent", "-q"); r.code != ExitNotFound ||
		!strings.Contains(r.err, "does not exist") {
		t.Errorf("exit %d: %q", r.code, r.err)
	}
	term := pseudoterminal.Open(t, 80, 24)
	if code := Run(t.Context(), p.onTerminal(term),
		[]string{"delete", "cluster", "silent", "-q", "-y", "--wait"}); code !=
		ExitOK || strings.Contains(term.Text(), "✔") {
		t.Errorf("exit %d: %q", code, term.Text())
	}
}

func TestVerboseCommandsListRequestsWithoutTheirContent(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	line := regexp.MustCompile(`(?m)^\S+ Range: OK in [0-9.]+(ms|µs|s)$`)
	if r := p.run("get", "clusters", "-v"); !line.MatchString(r.err) {
		t.Errorf("-v: %q", r.err)
	}
	if r := p.run("get", "clusters"); line.MatchString(r.err) {
		t.Errorf("without -v: %q", r.err)
	}
	p.in = "planted-value\n"
	r := p.run("create", "secret", "loud", "--from-stdin", "password", "-v", "-v")
	if r.code != ExitOK || !regexp.MustCompile(`Txn: OK in \S+ \(sent [1-9]\d* bytes, received [1-9]`).MatchString(
		r.err) {
		t.Errorf("exit %d: %q", r.code, r.err)
	}
	if strings.Contains(r.err, "planted-value") {
		t.Errorf("the secret is in %q", r.err)
	}
	p.run("delete", "secret", "loud", "--yes")
}
