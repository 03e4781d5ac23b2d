package rke2

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

const (
	startingState = "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1"
	crashedState  = "LoadState=loaded ActiveState=activating SubState=auto-restart NRestarts=4 InvocationID=1"
	pullLimit     = `level=error msg="Shutdown request received: \"failed to get runtime image ` +
		`index.docker.io/rancher/rke2-runtime:v1: GET https://index.docker.io/v2/x: TOOMANYREQUESTS: slow down\""` +
		"\n"
	journalFile = "/run/systemd/system/journal"
)

func TestRegistryHiccupIsWaitedFor(t *testing.T) {
	for role, await := range awaits {
		m := newMachine(t)
		m.unit(unitName(role), crashedState)
		m.Write(journalFile, pullLimit, 0o644)
		reports := make(chan string, unreadReports)
		result := make(chan error, 1)
		go func() {
			defer close(reports)
			result <- await(t.Context(), m, func(s string) { reports <- s })
		}()
		for s := range reports {
			if strings.Contains(s, "the image registry limits pulls: ") && strings.Contains(s, "slow down") {
				break
			}
		}
		m.Write(journalFile, `level=fatal msg="listen tcp :9345: bind: address already in use"`+"\n", 0o644)
		m.unit(unitName(role), "NRestarts=5")
		if err := <-result; kindOf(err) != UnitFailed || !strings.Contains(err.Error(), "already in use") {
			t.Errorf("%s: the next crash has another cause: %v", role, err)
		}
	}
}

// awaits wait for the unit of a role.
var awaits = map[api.Role]func(context.Context, *machine, func(string)) error{
	api.RoleHead: func(ctx context.Context, m *machine, report func(string)) error {
		ctx, cancel := context.WithTimeout(ctx, waitLimit)
		defer cancel()
		return AwaitServer(ctx, m.Host, report)
	},
	api.RoleWorker: func(ctx context.Context, m *machine, report func(string)) error {
		ctx, cancel := context.WithTimeout(ctx, waitLimit)
		defer cancel()
		return AwaitAgent(ctx, m.Host, report)
	},
}

// waitLimit ends a wait that would go on for ever.
const waitLimit = 5 * time.Minute

func TestDeadlineNamesTheHiccup(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", crashedState)
	m.Write(journalFile, pullLimit, 0o644)
	ctx, report := passDeadlineAt(t, "the image registry limits pulls")
	err := AwaitServer(ctx, m.Host, report)
	if kindOf(err) != Deadline || !strings.Contains(err.Error(), "the image registry limits pulls") {
		t.Errorf("got %v", err)
	}
}

// unreadableJournal is put before journalctl: reading the logs of a unit fails as often as there are files for it.
const unreadableJournal = `#!/bin/sh
case "$*" in *" -u "*)
  for f in /run/systemd/system/unreadable-*; do if [ -e "$f" ]; then rm "$f"; kill $PPID; exit 1; fi; done;;
esac
`

func TestCrashIsNotJudgedWithoutLogsThatCanBeReadLater(t *testing.T) {
	for failures, want := range map[int]string{unreadLimit: Deadline, unreadLimit + 1: UnitFailed} {
		m := newMachine(t)
		m.InstallProgram("journalctl", unreadableJournal+journalctl)
		for i := range failures {
			m.Write(fmt.Sprint("/run/systemd/system/unreadable-", i), "", 0o644)
		}
		m.unit("rke2-server", crashedState)
		m.Write(journalFile, pullLimit, 0o644)
		ctx, report := passDeadlineAt(t, "the image registry limits pulls")
		if err := AwaitServer(ctx, m.Host, report); kindOf(err) != want {
			t.Errorf("after %d failures to read the logs: %v, want %s", failures, err, want)
		}
	}
}

func TestDyingKubeletEndsTheWaitWithItsCause(t *testing.T) {
	for role, await := range awaits {
		m := newMachine(t)
		m.unit(unitName(role), startingState)
		m.Write(journalFile, strings.Repeat(`level=error msg="Kubelet exited: exit status 1"`+"\n", 5), 0o644)
		m.Write(kubeletLog, `E1129 04:00:02.000001    1234 run.go:72] "command failed" err="failed to run Kubelet: `+
			`cgroup v1 is not supported, token=sesame"`+"\n", 0o644)
		err := await(t.Context(), m, nil)
		var e *Error
		if !errors.As(err, &e) || e.Kind != KubeletFailed || !e.Permanent ||
			!strings.Contains(e.Message, "cgroup v1 is not supported") {
			t.Errorf("%s: got %v", role, err)
			continue
		}
		log := strings.Join(e.Lines, "\n")
		if !strings.Contains(log, "== "+kubeletLog+" ==") || strings.Contains(log+err.Error(), "sesame") {
			t.Errorf("%s: the log is\n%s", role, log)
		}
	}
}

func TestKubeletThatWaitsForContainerdIsWaitedFor(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", startingState)
	m.Write(journalFile, strings.Repeat(`level=error msg="Kubelet exited: exit status 1"`+"\n", 5), 0o644)
	m.Write(kubeletLog, `E1129 04:00:02.000001    1234 run.go:72] "command failed" err="failed to run Kubelet: `+
		`validate CRI v1 runtime API: rpc error: code = DeadlineExceeded"`+"\n", 0o644)
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	err := AwaitServer(ctx, m.Host, func(s string) {
		if strings.Contains(s, "the kubelet starts again because a request timed out") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestKubeletThatRKE2EndsIsNoFailure(t *testing.T) {
	m := newMachine(t)
	m.Write(journalFile, strings.Repeat(`level=error msg="Kubelet exited: signal: killed"`+"\n", 9), 0o644)
	if trouble, err := CheckComponents(t.Context(), m.Host, api.RoleWorker); err != nil || trouble != "" {
		t.Errorf("got %q, %v", trouble, err)
	}
}

func TestKubeletThatRunsAgainIsNoFailure(t *testing.T) {
	const exited = `level=error msg="Kubelet exited: exit status 1"` + "\n"
	m := newMachine(t)
	m.Write(journalFile, strings.Repeat(exited, 5), 0o644)
	m.Write(journalFile+".recent", "", 0o644)
	if trouble, err := CheckComponents(t.Context(), m.Host, api.RoleWorker); err != nil || trouble != "" {
		t.Errorf("got %q, %v", trouble, err)
	}
	m.Write(journalFile+".recent", exited, 0o644)
	if _, err := CheckComponents(t.Context(), m.Host, api.RoleWorker); kindOf(err) != KubeletFailed {
		t.Errorf("got %v", err)
	}
}

func TestFailedImagePullIsReported(t *testing.T) {
	m := newMachine(t)
	failed := `level=error msg="PullImage \"docker.io/rancher/hardened-etcd:v1\" failed" error="failed to pull and ` +
		`unpack image \"docker.io/rancher/hardened-etcd:v1\": 429 Too Many Requests"` + "\n"
	m.Write(containerdLog, strings.ReplaceAll(failed, "hardened-etcd", "of-an-earlier-run"), 0o644)
	m.unit("rke2-server", startingState)
	reports := make(chan string, 100)
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	go func() {
		defer close(reports)
		_ = AwaitServer(ctx, m.Host, func(s string) { reports <- s })
	}()
	<-reports
	m.RunShell("cat >>" + containerdLog + " <<'EOF'\n" + failed + "EOF")
	const want = "image docker.io/rancher/hardened-etcd:v1 cannot be pulled: 429 Too Many Requests (if it lasts: " +
		"give the registry credentials or a mirror in rke2.registries, delete the cluster and create it again)"
	reported := false
	for s := range reports {
		if strings.Contains(s, "of-an-earlier-run") {
			t.Fatalf("reported %q", s)
		}
		if reported = strings.HasSuffix(s, want); reported {
			break
		}
	}
	if !reported {
		t.Fatal("the failed pull was not reported")
	}
	m.RunShell("cat >>" + containerdLog + ` <<'EOF'
level=info msg="PullImage \"docker.io/rancher/hardened-etcd:v1\" returns image reference \"sha256:1\""
EOF`)
	eventually.Holds(t, "the pull is no longer reported", func() bool {
		select {
		case s, waits := <-reports:
			return waits && !strings.Contains(s, "cannot be pulled")
		default:
			return false
		}
	})
}

func TestCheckFindsADyingKubeletOfARunningUnit(t *testing.T) {
	m := newMachine(t)
	m.Write(journalFile, strings.Repeat(`level=error msg="Kubelet exited: exit status 1"`+"\n", 5), 0o644)
	_, err := CheckComponents(t.Context(), m.Host, api.RoleWorker)
	if kindOf(err) != KubeletFailed || !strings.Contains(err.Error(), kubeletLog+" does not say why") {
		t.Errorf("got %v", err)
	}
}

func TestReportHasTheEndOfEachLog(t *testing.T) {
	m := newMachine(t)
	m.Write(journalFile, "journal line\n", 0o644)
	m.Write(kubeletLog, strings.Repeat("old\n", 30)+"kubelet line\n", 0o644)
	m.Write(containerdLog, strings.Repeat(`level=info msg="chatter"`+"\n", 9)+`level=error msg="containerd line"`+"\n"+
		`level=info msg="chatter"`+"\n", 0o644)
	m.Write(podLogs+"etcd-h_1/etcd/0.log", "of an earlier container\n", 0o644)
	m.RunShell("touch -d '1 hour ago' " + podLogs + "etcd-h_1/etcd/0.log")
	m.Write(podLogs+"etcd-h_1/etcd/1.log", "etcd line\n", 0o644)
	m.RunShell("touch -d '1 minute ago' " + podLogs + "etcd-h_1/etcd/1.log")
	m.Write(podLogs+"etcd-h_1/etcd/2.log", "", 0o644)
	m.Write(podLogs+"rke2-canal-x_1/calico-node/0.log", "canal line\n", 0o644)
	m.Write("/var/log/pods/default_etcd-mine_1/etcd/0.log", "of a person's pod\n", 0o644)
	report, err := ReadFailureReport(t.Context(), m.Host, api.RoleHead)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(report, "\n")
	want := "== journal of rke2-server ==\njournal line\n== " + kubeletLog + " ==\n" + strings.Repeat("old\n", 11) +
		"kubelet line\n== " + containerdLog + " ==\n" + `level=error msg="containerd line"` + "\n== " +
		podLogs + "etcd-h_1/etcd/1.log ==\netcd line"
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	report, err = ReadFailureReport(t.Context(), m.Host, api.RoleWorker)
	if err != nil || !strings.HasSuffix(strings.Join(report, "\n"), "canal line") {
		t.Errorf("of a worker: %q, %v", report, err)
	}
}

func TestReportIsBoundedAndHasNoSecrets(t *testing.T) {
	var out strings.Builder
	out.WriteString("@x 3 a.log\n-----BEGIN EC PRIVATE KEY-----\n" + strings.Repeat("AbCd\n", 5) +
		"-----END EC PRIVATE KEY-----\n" + strings.Repeat("y", 4000) + "\ntoken=sesame\nlast\n@x 2 b.log\n")
	got := joinReport(parseReport([]byte(out.String()), "@x "))
	if text := strings.Join(got, "\n"); len(got) != 4 || len(text) > 700 || strings.Contains(text, "AbCd") ||
		strings.Contains(text, "sesame") || got[3] != "last" {
		t.Errorf("got %q", got)
	}
}
