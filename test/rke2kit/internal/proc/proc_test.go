package proc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

func newGroup(t *testing.T) (*Group, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pids")
	g, err := NewGroup(dir)
	if err != nil {
		t.Fatal(err)
	}
	return g, dir
}

func sleeper(t *testing.T) Spec {
	return Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"600"},
		Log: filepath.Join(t.TempDir(), "sleeper.log")}
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

func runs(dir string) (int, bool) { return readLivePid(filepath.Join(dir, "sleeper.pid")) }

func TestExitedComponentIsRestarted(t *testing.T) {
	g, dir := newGroup(t)
	if err := g.Start(context.Background(), sleeper(t)); err != nil {
		t.Fatal(err)
	}
	first, ok := runs(dir)
	if !ok {
		t.Fatal("it does not run")
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "second start", func() bool {
		pid, ok := runs(dir)
		return ok && pid != first
	})
	g.Stop(5*time.Second, "sleeper")
	if pid, ok := runs(dir); ok {
		t.Errorf("process %d runs after Stop", pid)
	}
}

func TestStopKillsAProcessThatIgnoresSIGTERM(t *testing.T) {
	g, dir := newGroup(t)
	spec := sleeper(t)
	ready := filepath.Join(t.TempDir(), "ready")
	spec.Path, spec.Args = "/bin/sh", []string{"-c", "trap '' TERM; : >" + ready + "; while :; do sleep 600; done"}
	if err := g.Start(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	await(t, "trap", func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	pid, _ := runs(dir)
	t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }) // the shell's own child
	g.Stop(50*time.Millisecond, "sleeper")
	if _, err := processStartTime(pid); err == nil {
		t.Errorf("process %d runs after Stop", pid)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	g, _ := newGroup(t)
	spec := sleeper(t)
	spec.Path = "/no/such/program"
	if err := g.Start(context.Background(), spec); err == nil {
		t.Error("no error")
	}
}

func TestReapKillsOnlyLeftovers(t *testing.T) {
	dir := t.TempDir()
	start := func() *exec.Cmd {
		cmd := exec.Command("/bin/sleep", "600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	leftover, stranger := start(), start()
	if err := writePidFile(dir, "leftover", leftover.Process.Pid); err != nil {
		t.Fatal(err)
	}
	// The pid was used again: its process started at another time than noted.
	noted := fmt.Sprintf("%d 1\n", stranger.Process.Pid)
	if err := os.WriteFile(filepath.Join(dir, "gone.pid"), []byte(noted), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = leftover.Wait() }()
	if err := KillLeftovers(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := processStartTime(leftover.Process.Pid); err == nil {
		t.Error("the leftover runs on")
	}
	if _, err := processStartTime(stranger.Process.Pid); err != nil {
		t.Error("a stranger with a used pid was killed")
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.pid")); len(files) != 0 {
		t.Errorf("pid files left: %v", files)
	}
}

func TestComponentsDoNotInheritTheSupervisorsEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("RKE2_TOKEN", "secret")
	t.Setenv("HOME", "/root")
	env := strings.Join(componentEnv(), "\n")
	if strings.Contains(env, "NOTIFY_SOCKET") || strings.Contains(env, "secret") ||
		!strings.Contains(env, "HOME=/root") {
		t.Errorf("environment: %s", env)
	}
}

// RKE2 logs that its kubelet exited, and not why; it starts the kubelet every five seconds.
func TestExitIsLoggedWithoutItsCause(t *testing.T) {
	var journal bytes.Buffer
	logline.SetOutput(&journal)
	t.Cleanup(func() { logline.SetOutput(os.Stderr) })
	log := filepath.Join(t.TempDir(), "kubelet.log")
	c := &component{spec: Spec{Name: "kubelet", Every: 5 * time.Second, Log: log, Path: "/bin/sh",
		Args: []string{"-c", "echo the cause >&2; exit 1"}}}
	if err := c.startProcess(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	exit := c.cmd.Wait()
	synctest.Test(t, func(t *testing.T) { // a second on its clock is a second, however busy the computer is
		started := time.Now()
		time.Sleep(time.Second)
		if wait := c.reportExit(exit, started, firstBackoff); wait != 4*time.Second {
			t.Errorf("it is started again in %s, want 5 s after its start", wait)
		}
		if got := c.reportExit(nil, started.Add(-time.Minute), firstBackoff); got != 0 {
			t.Errorf("one that ran for a minute is started again in %s", got)
		}
	})
	if line := journal.String(); !strings.Contains(line, `level=error msg="Kubelet exited: exit status 1"`) ||
		strings.Contains(line, "the cause") {
		t.Errorf("the journal says %s", line)
	}
	if data, _ := os.ReadFile(log); string(data) != "the cause\n" {
		t.Errorf("its log says %q", data)
	}
}

func TestLogOfAStaticPodHasTheFormOfAContainers(t *testing.T) {
	log := filepath.Join(t.TempDir(), "pods", "etcd", "0.log")
	c := &component{spec: Spec{Name: "etcd", PodLog: true, Log: log, Path: "/bin/sh",
		Args: []string{"-c", "echo one; printf 'two\nthree' >&2"}}}
	if err := c.startProcess(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	c.log.Close()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	const form = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) stderr F `
	if !regexp.MustCompile(form + "one\n\\S+ stderr F two\n$").Match(data) {
		t.Errorf("the log is %q", data)
	}
}
