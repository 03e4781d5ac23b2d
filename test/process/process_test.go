package process_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/process"
)

func startShell(t *testing.T, script string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Options{Argv: []string{"/bin/sh", "-c", script},
		LogFile: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func TestAwaitHealthyFailsOnceTheServerHasExited(t *testing.T) {
	p := startShell(t, "echo no such port >&2; exit 3")
	err := p.AwaitHealthy(eventually.Context(t, time.Minute), func() error { return errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("got %v", err)
	}
}

func TestStopKillsAndReportsAServerThatIgnoresSIGTERM(t *testing.T) {
	p := startShell(t, `trap "" TERM; echo up; while :; do sleep 1; done`)
	eventually.Holds(t, "the trap is set", func() bool { return p.LastLogLines() == "up" })
	if err := p.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not stop") {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.Ended():
	default:
		t.Error("the server is still running")
	}
}

func TestRunReturnsAnErrorOnlyForACommandCutShort(t *testing.T) {
	r, err := process.Run(t.Context(), process.Options{
		Argv: []string{"/bin/sh", "-c", "echo out; echo err >&2; exit 4"}})
	if err != nil || r != (process.Result{Code: 4, Stdout: "out\n", Stderr: "err\n"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := process.Run(ctx, process.Options{Argv: []string{"/bin/sleep", "60"}}); err == nil {
		t.Error("no error for a command that was cut short")
	}
}
