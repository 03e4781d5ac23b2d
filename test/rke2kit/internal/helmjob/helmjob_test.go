package helmjob

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// helm plays Helm: it writes down how it was called, answers `status` with the file's content, and fails at the command
// that fails names.
const helm = `#!/bin/sh
echo "$@" >>calls
case $1 in
status) if [ -s status ]; then cat status; else echo "Error: release: not found" >&2; exit 1; fi ;;
esac
if [ "$1" = "$(cat fails 2>/dev/null)" ]; then echo "Error: it failed" >&2; exit 1; fi
`

type run struct {
	job         Job
	out         bytes.Buffer
	calls, note string
	err         error
}

// do runs a job in a directory of its own, with these files in it.
func do(t *testing.T, args []string, env, files map[string]string) *run {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "helm"), []byte(helm), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	all := map[string]string{"NAME": "x", "CHART": "x/chart", "REPO": "http://repo", "TARGET_NAMESPACE": "there"}
	for key, value := range env {
		all[key] = value
	}
	r := &run{}
	r.job = Job{
		Args: args, Env: all, Helm: []string{filepath.Join(dir, "helm")}, Out: &r.out, Scratch: dir,
		ValuesDir: "config", CADir: "ca", ContentDir: "chart", TerminationLog: "note",
	}
	r.err = r.job.Run(t.Context())
	calls, _ := os.ReadFile("calls")
	note, _ := os.ReadFile("note")
	r.calls, r.note = string(calls), string(note)
	return r
}

func TestJobInstallsUpgradesOrRepairsTheRelease(t *testing.T) {
	install := []string{"install", "--namespace", "there", "--version", "1"}
	const status = "status --namespace there x --output json\n"
	const tail = "--namespace there --version 1 x x/chart --values config/a.yaml\n"
	const repo = "repo add x http://repo\nrepo update\n"
	for name, c := range map[string]struct {
		status string
		args   []string
		env    map[string]string
		want   string
	}{
		"nothing": {"", install, nil, repo + status + "install " + tail},
		"deployed": {`{"version":3,"info":{"status":"deployed"}}`, install,
			map[string]string{"EXPECTED_RELEASE_REVISION": "3"}, repo + status + "upgrade " + tail},
		"changed meanwhile": {`{"version":4,"info":{"status":"deployed"}}`, install,
			map[string]string{"EXPECTED_RELEASE_REVISION": "3"}, repo + status},
		"failed": {`{"version":1,"info":{"status":"failed"}}`, install, nil,
			repo + status + "uninstall x --namespace there --wait\ninstall " + tail},
		"failed, to retry": {`{"version":1,"info":{"status":"failed"}}`, install,
			map[string]string{"FAILURE_POLICY": "retry"}, repo + status + "upgrade " + tail},
		"interrupted": {`{"version":2,"info":{"status":"pending-upgrade"}}`, install, nil,
			repo + status + "upgrade " + tail},
		"to be deleted": {`{"version":1,"info":{"status":"deployed"}}`, []string{"delete"}, nil,
			status + "uninstall x --namespace there --wait\n"},
		"deleted already": {"", []string{"delete"}, nil, status},
	} {
		t.Run(name, func(t *testing.T) {
			r := do(t, c.args, c.env, map[string]string{"status": c.status, "config/a.yaml": "a: 1\n"})
			if r.err != nil || r.calls != c.want {
				t.Errorf("%v, Helm was called with\n%swant\n%s", r.err, r.calls, c.want)
			}
		})
	}
}

func TestFailedReleaseIsKeptIfThePolicyIsAbort(t *testing.T) {
	r := do(t, []string{"install"}, map[string]string{"FAILURE_POLICY": "abort"},
		map[string]string{"status": `{"version":1,"info":{"status":"failed"}}`})
	if r.err == nil || !strings.Contains(r.note, "waiting for operator intervention") {
		t.Errorf("got %v, noted %q", r.err, r.note)
	}
}

func TestHelmsErrorIsItsLastLine(t *testing.T) {
	r := do(t, []string{"install"}, nil, map[string]string{"fails": "install"})
	if r.err == nil || !strings.HasSuffix(r.out.String(), "\nError: it failed\n") {
		t.Errorf("%v, said:\n%s", r.err, r.out.String())
	}
	if r.note != "Installing helm chart\n" {
		t.Errorf("noted %q", r.note)
	}
}

func TestInlineChartsAndAuthoritiesArePassedOn(t *testing.T) {
	r := do(t, []string{"install"}, map[string]string{"CONFIG_HASH": "AB", "TIMEOUT": "5m0s"}, map[string]string{
		"chart/x.tgz.base64": base64.StdEncoding.EncodeToString([]byte("archive")), "config/ca-file.pem": "one",
		"ca/two.pem": "two",
	})
	scratch := r.job.Scratch
	want := "install x " + scratch + "/x.tgz --ca-file " + scratch +
		"/ca-file.pem --timeout 5m0s --labels helmcharts.helm.cattle.io/configHash=AB\n"
	if r.err != nil || !strings.HasSuffix(r.calls, want) || strings.Contains(r.calls, "repo add") {
		t.Errorf("%v, Helm was called with\n%swant\n%s", r.err, r.calls, want)
	}
	for file, want := range map[string]string{"x.tgz": "archive", "ca-file.pem": "one\ntwo\n"} {
		if got, _ := os.ReadFile(filepath.Join(scratch, file)); string(got) != want {
			t.Errorf("%s holds %q", file, got)
		}
	}
}
