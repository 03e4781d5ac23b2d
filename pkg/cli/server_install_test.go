package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

// fakeSystemd is a user's systemd that knows one unit. It starts what the unit's file says, with the variables of the
// environment file, as far as the files of these tests go.
type fakeSystemd struct {
	t       *testing.T
	p       *testUser
	root    string
	running *exec.Cmd
	ended   chan struct{}
	journal lockedbuffer.Buffer
	ran     []string
}

// newServiceUser returns a user of a computer with systemd.
func newServiceUser(t *testing.T) (*testUser, *fakeSystemd) {
	p := newLocalUser(t)
	p.env["HOME"] = t.TempDir()
	s := &fakeSystemd{t: t, p: p, root: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(s.root, "/run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.computer = &service.Computer{OS: "linux", Root: s.root, UID: os.Geteuid(),
		Env: func(name string) string { return p.env[name] }, Run: s.runCommand, Stream: s.streamJournal}
	t.Cleanup(func() { _ = s.stop() })
	return p, s
}

func (s *fakeSystemd) runCommand(_ context.Context, argv, _ []string) (string, error) {
	s.ran = append(s.ran, strings.Join(argv, " "))
	if argv[0] != "systemctl" {
		return "", nil
	}
	switch verb := argv[3]; verb { // after --user and --no-ask-password
	case "start":
		return "", s.start(argv[4])
	case "stop", "disable":
		return "", s.stop()
	case "restart":
		return "", errors.Join(s.stop(), s.start(argv[4]))
	case "show":
		return strconv.Itoa(s.pid()), nil
	case "is-active":
		if s.pid() == 0 {
			return "inactive", &service.CommandError{Argv: argv, Err: errors.New("exit status 3")}
		}
		return "active", nil
	}
	return "", nil
}

var environmentLine = regexp.MustCompile(`(?m)^(\w+)="(.*)"$`)

func (s *fakeSystemd) start(name string) error {
	if s.pid() != 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.p.env["HOME"], ".config/systemd/user", name))
	if err != nil {
		return err
	}
	program := regexp.MustCompile(`(?m)^ExecStart="(.*)" dev$`).FindStringSubmatch(string(text))
	file := regexp.MustCompile(`(?m)^EnvironmentFile=(.*)$`).FindStringSubmatch(string(text))
	if program == nil || file == nil {
		return fmt.Errorf("the unit is %s", text)
	}
	variables, err := os.ReadFile(file[1])
	if err != nil {
		return err
	}
	s.running = exec.Command(program[1], "dev")
	s.running.Env = []string{"HOME=" + s.p.env["HOME"], withWorker + "=" + os.Getenv(withWorker)}
	for _, v := range environmentLine.FindAllStringSubmatch(string(variables), -1) {
		s.running.Env = append(s.running.Env, v[1]+"="+v[2])
	}
	s.running.Stdout, s.running.Stderr = &s.journal, &s.journal
	if err := s.running.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func(c *exec.Cmd, ended chan struct{}) { _ = c.Wait(); close(ended) }(s.running, s.ended)
	return nil
}

func (s *fakeSystemd) pid() int {
	if s.running == nil {
		return 0
	}
	select {
	case <-s.ended:
		return 0
	default:
		return s.running.Process.Pid
	}
}

func (s *fakeSystemd) stop() error {
	if s.pid() == 0 {
		return nil
	}
	if err := s.running.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	_ = s.running.Process.Kill()
	<-s.ended
	return nil
}

func (s *fakeSystemd) streamJournal(_ context.Context, argv, _ []string, out, _ io.Writer) error {
	_, err := fmt.Fprintf(out, "%s\n%s", strings.Join(argv, " "), s.journal.String())
	return err
}

// findSkyd returns the process that holds the state directory, or 0.
func findSkyd(t *testing.T, p *testUser) int {
	t.Helper()
	pid, err := daemon.FindLockHolder(filepath.Join(p.env[config.EnvDir], "skyd.lock"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestInstallTakesOverARunningServer(t *testing.T) {
	p, s := newServiceUser(t)
	if got := p.run("server", "start"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	before := findSkyd(t, p)
	got := p.run("server", "install")
	if got.code != 0 || !strings.Contains(got.out, "systemd user unit skyd-") {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if now := findSkyd(t, p); now == before || now != s.pid() {
		t.Errorf("process %d holds the directory, and the service is process %d", now, s.pid())
	}
	again := p.run("server", "install")
	if again.code != 0 || !strings.Contains(again.out, "already runs as") || s.pid() != findSkyd(t, p) {
		t.Errorf("again: exit %d: %s%s", again.code, again.out, again.err)
	}
	if st := p.run("server", "status"); !strings.Contains(st.out, "systemd user unit skyd-") {
		t.Errorf("status: %s", st.out)
	}
	was := s.pid()
	p.env["SKYCTL_DOCKER_BASE_IMAGE"] = "debian:13"
	if changed := p.run("server", "install"); changed.code != 0 || s.pid() == was {
		t.Errorf("a changed setting: exit %d: %s%s", changed.code, changed.out, changed.err)
	}
	if note := p.run("server", "start"); strings.Contains(note.err, "docker.baseImage") {
		t.Errorf("the service does not have the setting: %s", note.err)
	}
	if log := p.run("server", "logs", "--tail", "7"); log.code != 0 || !strings.Contains(log.out, "--lines=7") {
		t.Errorf("logs: exit %d: %s%s", log.code, log.out, log.err)
	}
}

func TestCommandsUseTheServiceAndItsRemovalEndsThat(t *testing.T) {
	p, s := newServiceUser(t)
	if got := p.run("server", "install"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.err)
	}
	first := s.pid()
	if got := p.run("server", "restart"); got.code != 0 || s.pid() == first || findSkyd(t, p) != s.pid() {
		t.Errorf("restart: exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("server", "stop"); got.code != 0 || findSkyd(t, p) != 0 || s.pid() != 0 ||
		!strings.Contains(got.out, "starts again when the computer does") {
		t.Errorf("stop: exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("get", "clusters"); got.code != 0 || findSkyd(t, p) != s.pid() || s.pid() == 0 {
		t.Errorf("a command: exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("server", "uninstall", "--system"); got.code == 0 {
		t.Errorf("removed as what it is not: %s", got.out)
	}
	if got := p.run("server", "uninstall"); got.code != 0 || findSkyd(t, p) != 0 {
		t.Errorf("uninstall: exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("server", "uninstall"); got.code != 0 || !strings.Contains(got.out, "No service is installed") {
		t.Errorf("again: exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := p.run("get", "clusters"); got.code != 0 || s.pid() != 0 || findSkyd(t, p) == 0 ||
		!strings.Contains(got.err, "in the background") {
		t.Errorf("a command afterwards: exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestServiceThatDoesNotStartShowsItsJournal(t *testing.T) {
	p, s := newServiceUser(t)
	script := filepath.Join(t.TempDir(), "skyd")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no luck; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.skyd = script
	got := p.run("server", "install")
	if got.code != ExitUnreachable || !strings.Contains(got.err, "no luck") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if s.pid() != 0 {
		t.Errorf("process %d runs", s.pid())
	}
}

func TestInstallWithoutServiceManagerChangesNothing(t *testing.T) {
	p := newLocalUser(t)
	p.computer = &service.Computer{OS: "linux", Root: t.TempDir(), UID: 4711, Env: func(name string) string {
		return map[string]string{"USER": "ann", "HOME": "/nowhere"}[name]
	}}
	if got := p.run("server", "install"); got.code != ExitUnreachable ||
		!strings.Contains(got.err, "does not run systemd: start skyd with skyctl server start") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if got := p.run("server", "install", "--system"); got.code != ExitUsage ||
		!strings.Contains(got.err, "sudo skyctl server install --system") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	if files, err := os.ReadDir(p.env[config.EnvDir]); err != nil || len(files) > 0 {
		t.Errorf("files were written: %v, %v", files, err)
	}
}

func TestRestartWithoutServiceReplacesTheProcess(t *testing.T) {
	p := newLocalUser(t)
	if got := p.run("server", "restart"); got.code != 0 || findSkyd(t, p) == 0 {
		t.Fatalf("of a server that does not run: exit %d: %s%s", got.code, got.out, got.err)
	}
	before := findSkyd(t, p)
	if got := p.run("server", "restart"); got.code != 0 || findSkyd(t, p) == before || findSkyd(t, p) == 0 {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := newExternalUser(t).run("server", "restart"); got.code != ExitUsage {
		t.Errorf("of external servers: exit %d: %s", got.code, got.err)
	}
}

func TestLogsOfTheBackgroundServer(t *testing.T) {
	p := newUserWithoutState(t)
	if got := p.run("server", "logs"); got.code != ExitNotFound || !strings.Contains(got.err, "there is no log yet") {
		t.Errorf("without a log: exit %d: %s", got.code, got.err)
	}
	name := filepath.Join(p.env[config.EnvDir], "skyd.log")
	now := time.Now()
	var log strings.Builder
	for i, age := range []time.Duration{3 * time.Hour, time.Hour, time.Minute} {
		fmt.Fprintf(&log, "time=%s level=INFO msg=line%d\n  more of %d\n", now.Add(-age).Format(time.RFC3339Nano), i, i)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(log.String()), 0o600),
		os.WriteFile(name+".old", []byte("first of all\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	all := "first of all\n" + log.String()
	lines := strings.SplitAfter(strings.TrimSuffix(log.String(), "\n"), "\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, all},
		{[]string{"--tail", "0"}, all},
		{[]string{"--tail", "1"}, lines[5] + "\n"},
		{[]string{"--since", "2h"}, strings.Join(lines[2:], "") + "\n"},
		{[]string{"--since", "2h", "--tail", "2"}, strings.Join(lines[4:], "") + "\n"},
	} {
		for _, command := range [][]string{{"server", "logs"}, {"logs", "server"}} {
			if got := p.run(append(command, c.args...)...); got.code != 0 || got.out != c.want {
				t.Errorf("%v %v: exit %d: %s%s", command, c.args, got.code, got.out, got.err)
			}
		}
	}
	if got := p.run("server", "logs", "--tail", "-1"); got.code != ExitUsage {
		t.Errorf("a negative number: exit %d: %s", got.code, got.err)
	}
	followMovedLog(t, p, name)
}

// followMovedLog follows a log while it grows and is moved aside.
func followMovedLog(t *testing.T, p *testUser, name string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedbuffer.Buffer
	env := p.environment(new(bytes.Buffer), &out, &errs)
	ended := make(chan int, 1)
	go func() { ended <- Run(ctx, env, []string{"server", "logs", "-f", "--tail", "1"}) }()
	sees := func(text string) {
		t.Helper()
		eventually.Holds(t, "it prints "+text, func() bool { return strings.Contains(out.String(), text) })
	}
	sees("more of 2")
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "appended")
	f.Close()
	sees("appended")
	if err := errors.Join(os.Rename(name, name+".old"),
		os.WriteFile(name, []byte("of a new file\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	sees("of a new file")
	cancel()
	if code := <-ended; code != ExitInterrupted || strings.Contains(out.String(), "more of 1") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
}
