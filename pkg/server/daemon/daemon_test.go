package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

func testConfig(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	c, err := config.Load(nil, func(k string) string { return map[string]string{config.EnvDir: dir}[k] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// writeScript writes an executable script in place of skyd.
func writeScript(t *testing.T, body string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), binaryName)
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLockHasOneHolderAndQueriesDoNotDropIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	if pid, err := FindLockHolder(name); pid != 0 || err != nil {
		t.Errorf("before: %d, %v", pid, err)
	}
	lock, err := AcquireLock(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a query opens and closes the file, which would drop a POSIX lock
		if pid, err := FindLockHolder(name); pid != os.Getpid() || err != nil {
			t.Errorf("held: %d, %v", pid, err)
		}
	}
	if _, err := AcquireLock(name); !errors.Is(err, ErrHeld) ||
		!strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second holder: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if pid, err := FindLockHolder(name); pid != 0 || err != nil {
		t.Errorf("released: %d, %v", pid, err)
	}
	again, err := AcquireLock(name)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Release()
}

func TestStatusTrustsTheLockNotTheFiles(t *testing.T) {
	c := testConfig(t)
	old := State{PID: 1, UIAddress: "http://127.0.0.1:1"}
	if err := PublishState(c, old); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRunning(c); !errors.Is(err, ErrNotRunning) {
		t.Errorf("with the files of a killed skyd: %v", err)
	}
	lock, err := AcquireLock(c.LockFile())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if s, err := FindRunning(c); !errors.Is(err, ErrNotReady) || s.PID != os.Getpid() {
		t.Errorf("with the files of a killed skyd, while its successor starts: %+v, %v", s, err)
	}
	mine := State{PID: os.Getpid(), UIAddress: "http://127.0.0.1:2", TemporalAddress: "127.0.0.1:3",
		EtcdEndpoint: "https://127.0.0.1:4",
		Namespace:    "n", Started: time.Now().UTC().Truncate(time.Second)}
	if err := PublishState(c, mine); err != nil {
		t.Fatal(err)
	}
	got, err := FindRunning(c)
	if err != nil || !reflect.DeepEqual(got, mine) {
		t.Errorf("got %+v, %v", got, err)
	}
	got.ApplyTo(c)
	if c.Temporal.Address != "127.0.0.1:3" || c.Temporal.Namespace != "n" ||
		c.Etcd.Endpoints[0] != "https://127.0.0.1:4" || c.UI.Address != "http://127.0.0.1:2" {
		t.Errorf("ApplyTo did not change the settings: %+v", c)
	}
	if err := WithdrawState(c); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRunning(c); !errors.Is(err, ErrNotReady) {
		t.Errorf("withdrawn: %v", err)
	}
}

func TestStopDoesNotSignalAReusedProcessID(t *testing.T) {
	c := testConfig(t)
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	number := fmt.Appendf(nil, "%10d\n", stranger.Process.Pid)
	for _, name := range []string{c.PIDFile(), c.LockFile()} { // left by a killed skyd whose id was reused
		if err := os.WriteFile(name, number, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Stop(t.Context(), c); err != nil {
		t.Error(err)
	}
	// The lock is held by a process that is not visible: its file has the id of another process.
	lock, err := AcquireLock(c.LockFile())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if err := os.WriteFile(c.LockFile(), number, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Stop(t.Context(), c); err == nil || !strings.Contains(err.Error(), "not visible") {
		t.Errorf("an invisible holder: %v", err)
	}
	if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", stranger.Process.Pid)); err != nil ||
		strings.Contains(string(state), ") Z") {
		t.Errorf("the other process is gone: %s, %v", state, err)
	}
}

func TestFailedStartErrorHasTheLastLogLines(t *testing.T) {
	c := testConfig(t)
	if err := os.WriteFile(c.LogFile(), []byte("of an earlier start\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := EnsureRunning(t.Context(), c, writeScript(t,
		`i=0; while [ $i -lt 30 ]; do echo "line $i"; i=$((i+1)); done; echo "in $SKYCONF_DIR: no luck" >&2; exit 3`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"exit status 3", "line 29", "in " + c.Dir + ": no luck"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	for _, not := range []string{"earlier", "line 5\n"} {
		if strings.Contains(err.Error(), not) {
			t.Errorf("%q contains %q", err, not)
		}
	}
}

func TestLongLogIsMovedAside(t *testing.T) {
	c := testConfig(t)
	if err := os.WriteFile(c.LogFile(), make([]byte, logMaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureRunning(t.Context(), c, writeScript(t, "echo new; exit 1")); err == nil ||
		!strings.Contains(err.Error(), "new") {
		t.Errorf("the error is %v", err)
	}
	if info, err := os.Stat(c.LogFile()); err != nil || info.Size() > 100 {
		t.Errorf("the log: %v, %v", info, err)
	}
	if info, err := os.Stat(c.LogFile() + ".old"); err != nil || info.Size() != logMaxBytes+1 {
		t.Errorf("the old log: %v, %v", info, err)
	}
}

func TestMissingBinaryIsNamed(t *testing.T) {
	c := testConfig(t)
	if _, err := EnsureRunning(t.Context(), c, "/nowhere/skyd"); err == nil ||
		!strings.Contains(err.Error(), "/nowhere/skyd") {
		t.Errorf("the error is %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := FindSkyd(); err == nil || !strings.Contains(err.Error(), "skyd") {
		t.Errorf("skyd does not exist: %v", err)
	}
	path := writeScript(t, "")
	t.Setenv("PATH", filepath.Dir(path))
	if got, err := FindSkyd(); err != nil || got != path {
		t.Errorf("in $PATH: %s, %v", got, err)
	}
}

func TestRepeatedErrorIsShownOnce(t *testing.T) {
	c := testConfig(t)
	_, err := EnsureRunning(t.Context(), c, writeScript(t,
		`echo "skyd: no port"; echo "no port"; echo other; echo other; exit 1`))
	if err == nil || strings.Count(err.Error(), "no port") != 1 || strings.Count(err.Error(), "other") != 1 {
		t.Errorf("the error is %v", err)
	}
}

func TestServerFilesThatArePipesAreReported(t *testing.T) {
	for what, name := range map[string]func(*config.Config) string{
		"log": (*config.Config).LogFile, "lock": (*config.Config).LockFile,
		"start lock": func(c *config.Config) string { return filepath.Join(c.Dir, "start.lock") },
	} {
		c := testConfig(t)
		if err := unix.Mkfifo(name(c), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := EnsureRunning(t.Context(), c, writeScript(t, "exit 1")); !errors.Is(err,
			regularfile.ErrNotRegular) || !strings.Contains(err.Error(), name(c)) {
			t.Errorf("the %s: %v", what, err)
		}
	}
}
