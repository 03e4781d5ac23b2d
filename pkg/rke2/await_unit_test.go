package rke2

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/eventually"
)

// unreadReports is how many reports a wait can make that nobody reads any more: many, at one in two seconds.
const unreadReports = 1000

// passDeadlineAt returns a context whose deadline passes once a report has a text, and the function for the reports.
func passDeadlineAt(t *testing.T, text string) (context.Context, func(report string)) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, func(report string) {
		if strings.Contains(report, text) {
			cancel(context.DeadlineExceeded)
		}
	}
}

func TestAwaitAgentReturnsOnceTheAgentIsActive(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-agent", "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1")
	m.Write("/run/systemd/system/journal", `msg="Waiting to retrieve agent configuration; server is not ready: 503"`+
		"\n", 0o644)
	reports := make(chan string, unreadReports)
	result := make(chan error, 1)
	go func() { result <- AwaitAgent(t.Context(), m.Host, func(s string) { reports <- s }) }()
	for s := range reports {
		if s == "waiting for the head to accept the worker" {
			break
		}
	}
	m.unit("rke2-agent", "ActiveState=active SubState=running")
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestJournalLinesCannotImitateUnitState(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-agent", "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1")
	m.Write("/run/systemd/system/journal", stateMark+"LoadState=not-found ActiveState=failed\n"+
		`msg="Waiting to retrieve agent configuration; server is not ready: 503"`+"\n", 0o644)
	reports := make(chan string, unreadReports)
	result := make(chan error, 1)
	go func() { result <- AwaitAgent(t.Context(), m.Host, func(s string) { reports <- s }) }()
	for s := range reports {
		if s == "waiting for the head to accept the worker" {
			break
		}
	}
	m.unit("rke2-agent", "ActiveState=active SubState=running")
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestAwaitAgentFailsIfTheHeadWillNeverAcceptIt(t *testing.T) {
	refused := `msg="server is not ready: https://10.0.0.1:9345/v1-rke2/client-kubelet.crt: 401 Unauthorized"` + "\n"
	for want, journal := range map[string]string{
		WrongToken:    refused + refused,
		WrongCA:       `level=fatal msg="token CA hash does not match the Cluster CA certificate hash: a != b"` + "\n",
		DuplicateNode: strings.Repeat(`msg="Node password rejected, duplicate hostname"`+"\n", 2),
	} {
		m := newMachine(t)
		m.unit("rke2-agent", "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1")
		m.Write("/run/systemd/system/journal", "token=sesame\n"+journal, 0o644)
		err := AwaitAgent(t.Context(), m.Host, nil)
		var e *Error
		if !errors.As(err, &e) || e.Kind != want || !e.Permanent || e.Machine != "sky-test-0" || len(e.Lines) < 2 {
			t.Errorf("%s: got %+v", want, err)
		} else if log := strings.Join(e.Lines, "\n"); strings.Contains(log, "sesame") {
			t.Errorf("%s: a secret in the log: %s", want, log)
		}
	}
}

func TestCrashingServerReportsItsLastError(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", "LoadState=loaded ActiveState=activating SubState=auto-restart NRestarts=4 InvocationID=1")
	m.Write("/run/systemd/system/journal", "level=info msg=\"Starting\"\nlevel=fatal msg=\"listen tcp :9345: bind: "+
		"address already in use\"\nrke2-server.service: Failed\n", 0o644)
	err := AwaitServer(t.Context(), m.Host, nil)
	if kindOf(err) != UnitFailed || !IsFinal(err) ||
		!strings.Contains(err.Error(), "9345: bind: address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestServerDeadlineNamesTheUnmetCondition(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1")
	ctx, report := passDeadlineAt(t, "port 9345")
	err := AwaitServer(ctx, m.Host, report)
	if kindOf(err) != Deadline || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "the supervisor to answer on port 9345") {
		t.Errorf("got %v", err)
	}
}

func TestAwaitSupervisorDoesNotNeedTheAPIServer(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-server", "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1")
	m.Write("/opt/fake/curl", "#!/bin/sh\ncase \"$*\" in *:9345/*) printf 200;; *) printf 500; exit 22;; esac\n", 0o755)
	result := make(chan error, 1)
	go func() { result <- AwaitSupervisor(t.Context(), m.Host, nil) }()
	m.Write(serverDir+"/token", "K10x::server:y\n", 0o600)
	m.Write(serverDir+"/agent-token", "K10x::node:y\n", 0o600)
	select {
	case err := <-result:
		t.Fatalf("it did not wait for the kubeconfig: %v", err)
	default:
	}
	m.Write(kubeconfig, "clusters: []\n", 0o600)
	if err := <-result; err != nil {
		t.Error(err)
	}
	ctx, report := passDeadlineAt(t, "the API server")
	if err := AwaitServer(ctx, m.Host, report); kindOf(err) != Deadline ||
		!strings.Contains(err.Error(), "the API server to be ready") {
		t.Errorf("without an API server: %v", err)
	}
}

func TestCancelledWaitIsNotAUnitFailure(t *testing.T) {
	m := newMachine(t)
	m.unit("rke2-agent", "LoadState=loaded ActiveState=activating SubState=start NRestarts=0 InvocationID=1")
	m.Write("/run/systemd/system/journal", `msg="server is not ready: 503"`+"\n", 0o644)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := AwaitAgent(ctx, m.Host, func(s string) {
		if strings.Contains(s, "accept the worker") { // the journal is followed
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || kindOf(err) != "" {
		t.Errorf("got %v", err)
	}
	eventually.Holds(t, "the journal is no longer followed", func() bool {
		return m.RunShell("p=$(cat /run/systemd/system/follower); "+
			"grep -s ^State: /proc/$p/status | grep -v Z || true") == ""
	})
}
