package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/server/unit"
	"github.com/sky-shift/skyctl/test/needs"
)

// recorder is a computer with systemd or launchd that only records the commands.
type recorder struct {
	*Computer
	ran []string
	// fails has the output of commands that fail, by their beginning.
	fails map[string]string
	// prints has the output of the others.
	prints map[string]string
}

func newRecorder(t *testing.T, system string) *recorder {
	t.Helper()
	r := &recorder{fails: map[string]string{}, prints: map[string]string{}}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "/run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.Computer = &Computer{OS: system, Root: root, UID: 4711, Env: func(string) string { return "" },
		Run: func(_ context.Context, argv, _ []string) (string, error) {
			line := strings.Join(argv, " ")
			r.ran = append(r.ran, line)
			for begin, text := range r.fails {
				if strings.HasPrefix(line, begin) {
					return text, &CommandError{Argv: argv, Output: text, Err: errors.New("exit status 1")}
				}
			}
			for begin, text := range r.prints {
				if strings.HasPrefix(line, begin) {
					return text, nil
				}
			}
			return "", nil
		}}
	return r
}

func (r *recorder) takeCommands() []string {
	all := r.ran
	r.ran = nil
	return all
}

func newPerson(t *testing.T) Person {
	return Person{UID: 4711, GID: 4711, Name: "ann", Home: t.TempDir()}
}

func (r *recorder) service(t *testing.T, p Person, system bool) *Service {
	t.Helper()
	dir := p.defaultStateDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := r.New(dir, p, system)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var program = Program{Skyd: "/usr/bin/skyd", LogFile: "/log", Variables: []unit.Variable{{Name: "A", Value: "1"}}}

func install(t *testing.T, s *Service, p Program) bool {
	t.Helper()
	changed, err := s.Install(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestUserUnitIsInstalledOnceAndRemovedWhole(t *testing.T) {
	r, ann := newRecorder(t, "linux"), newPerson(t)
	s := r.service(t, ann, false)
	if found, err := r.Find(s.stateDir, ann); found != nil || err != nil {
		t.Fatalf("before: %v, %v", found, err)
	}
	if !install(t, s, program) {
		t.Error("the first installation changes nothing")
	}
	if got := r.takeCommands(); !slices.Equal(got, []string{
		"loginctl --no-ask-password enable-linger ann",
		"systemctl --user --no-ask-password show --property=Version",
		"systemctl --user --no-ask-password daemon-reload",
		"systemctl --user --no-ask-password enable --quiet skyd.service",
	}) {
		t.Errorf("it ran %q", got)
	}
	if info, err := os.Stat(s.EnvironmentFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the environment: %v, %v", info, err)
	}
	found, err := r.Find(s.stateDir, ann)
	if err != nil || found == nil || !found.Same(s) {
		t.Fatalf("it is not found: %v, %v", found, err)
	}
	linger := filepath.Join(r.Root, "/var/lib/systemd/linger")
	if err := errors.Join(os.MkdirAll(linger, 0o755),
		os.WriteFile(filepath.Join(linger, "ann"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if install(t, s, program) {
		t.Error("the second installation changes something")
	}
	if got := r.takeCommands(); slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, "linger") }) {
		t.Errorf("it ran %q", got)
	}
	changed := program
	changed.Variables = []unit.Variable{{Name: "A", Value: "2"}}
	if !install(t, s, changed) {
		t.Error("a changed variable does not count")
	}
	r.takeCommands()
	if err := s.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.takeCommands(); !slices.Equal(got, []string{
		"systemctl --user --no-ask-password disable --quiet --now skyd.service",
		"systemctl --user --no-ask-password daemon-reload",
		"loginctl --no-ask-password disable-linger ann",
	}) {
		t.Errorf("removing it ran %q", got)
	}
	for _, name := range []string{s.File(), s.EnvironmentFile()} {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s was left behind: %v", name, err)
		}
	}
}

func TestLingerOfThePersonStays(t *testing.T) {
	r, ann := newRecorder(t, "linux"), newPerson(t)
	linger := filepath.Join(r.Root, "/var/lib/systemd/linger")
	if err := errors.Join(os.MkdirAll(linger, 0o755),
		os.WriteFile(filepath.Join(linger, "ann"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := r.service(t, ann, false)
	install(t, s, program)
	if err := s.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.ran {
		if strings.Contains(c, "linger") {
			t.Errorf("it ran %q", c)
		}
	}
}

func TestRefusedLingerSaysWhatToDo(t *testing.T) {
	r, ann := newRecorder(t, "linux"), newPerson(t)
	r.fails["loginctl"] = "Could not enable linger: Access denied"
	s := r.service(t, ann, false)
	_, err := s.Install(t.Context(), program)
	if err == nil || !strings.Contains(err.Error(), "sudo loginctl enable-linger ann") ||
		!strings.Contains(err.Error(), "--system") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(s.File()); !os.IsNotExist(err) {
		t.Errorf("the unit was written: %v", err)
	}
}

func TestUnitOfTheSystemRunsAsThePerson(t *testing.T) {
	r, ann := newRecorder(t, "linux"), newPerson(t)
	s := r.service(t, ann, true)
	install(t, s, program)
	text, err := os.ReadFile(filepath.Join(r.Root, "/etc/systemd/system/skyd-ann.service"))
	if err != nil || !strings.Contains(string(text), "\nUser=ann\n") {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(s.File()); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("systemd warns of its mode: %v, %v", info, err)
	}
	if got := r.takeCommands(); got[0] != "systemctl --no-ask-password daemon-reload" {
		t.Errorf("it ran %q", got)
	}
	r.fails["systemctl --no-ask-password start"] = "Failed to start: Interactive authentication required."
	if err := s.Start(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "sudo systemctl start skyd-ann.service") {
		t.Errorf("a start without rights: %v", err)
	}
	if err := s.Uninstall(t.Context()); !errors.Is(err, ErrNeedsRoot) {
		t.Errorf("removing it without rights: %v", err)
	}
	if _, err := os.Stat(s.File()); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}

func TestComputersWithoutServiceManagerAreTold(t *testing.T) {
	without := newRecorder(t, "linux")
	without.Root = t.TempDir()
	onlyInstalled := newRecorder(t, "linux") // its directories are there, as in a container
	proc := filepath.Join(onlyInstalled.Root, "proc", "1")
	if err := errors.Join(os.MkdirAll(proc, 0o755), os.WriteFile(filepath.Join(proc, "comm"), []byte("init\n"),
		0o600)); err != nil {
		t.Fatal(err)
	}
	for says, r := range map[string]*recorder{
		"does not run systemd": without,
		"not run systemd":      onlyInstalled,
		"on plan9":             newRecorder(t, "plan9"),
	} {
		var unsupported *UnsupportedError
		if _, err := r.New("/state", newPerson(t), false); !errors.As(err, &unsupported) ||
			!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "skyctl server start") {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := newRecorder(t, "darwin").New("/state", newPerson(t), true); err == nil {
		t.Error("macOS has no units of the system")
	}
	if _, err := newRecorder(t, "linux").FindPerson(true); !errors.Is(err, ErrNeedsRoot) {
		t.Errorf("--system without root: %v", err)
	}
}

func TestLaunchdJobIsLoadedAndUnloaded(t *testing.T) {
	r, ann := newRecorder(t, "darwin"), newPerson(t)
	s := r.service(t, ann, false)
	install(t, s, program)
	if want := filepath.Join(ann.Home, "Library/LaunchAgents/org.sky-shift.skyd.plist"); s.File() != want {
		t.Errorf("the file is %s", s.File())
	}
	if info, err := os.Stat(s.File()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the environment: %v, %v", info, err)
	}
	r.fails["launchctl print"] = "Could not find service"
	r.takeCommands()
	if err := s.Start(t.Context()); err != nil || r.takeCommands()[1] != "launchctl bootstrap gui/4711 "+s.File() {
		t.Errorf("starting it: %v", err)
	}
	delete(r.fails, "launchctl print")
	r.prints["launchctl print"] = "org.sky-shift.skyd = {\n\tstate = running\n\tpid = 123\n}"
	if pid, err := s.FindPID(t.Context()); pid != 123 || err != nil {
		t.Errorf("its process: %d, %v", pid, err)
	}
	r.takeCommands()
	if err := s.Restart(t.Context()); err != nil || !slices.Equal(r.takeCommands()[1:], []string{
		"launchctl bootout gui/4711/org.sky-shift.skyd", "launchctl bootstrap gui/4711 " + s.File()}) {
		t.Errorf("restarting it: %v", err)
	}
	if err := s.Uninstall(t.Context()); err != nil || r.takeCommands()[1] !=
		"launchctl bootout gui/4711/org.sky-shift.skyd" {
		t.Errorf("removing it: %v", err)
	}
}

func TestJournalIsReadForTheUnitAlone(t *testing.T) {
	r, ann := newRecorder(t, "linux"), newPerson(t)
	user, system := r.service(t, ann, false), r.service(t, ann, true)
	for want, got := range map[string][]string{
		"--user-unit=skyd.service --no-pager --output=cat --lines=20": user.journalArguments(
			JournalOptions{Lines: 20}),
		"--unit=skyd-ann.service --no-pager --output=cat --follow --since=@100 --lines=all": system.journalArguments(
			JournalOptions{Follow: true, Since: time.Unix(100, 0)}),
	} {
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSudoActsForThePersonWhoCalledIt(t *testing.T) {
	r := newRecorder(t, "linux")
	r.UID, r.Env = 0, func(name string) string { return map[string]string{"SUDO_UID": "1"}[name] } // 1 is daemon
	p, err := r.FindPerson(true)
	if err != nil || p.UID != 1 || !p.Other || p.Name == "root" {
		t.Fatalf("%+v, %v", p, err)
	}
	env := p.Getenv(func(name string) string { return "root's " + name })
	if env("HOME") != p.Home || env("XDG_STATE_HOME") != "" || env("PATH") != "root's PATH" {
		t.Errorf("its environment: %s, %s, %s", env("HOME"), env("XDG_STATE_HOME"), env("PATH"))
	}
	if got := p.Environ([]string{"HOME=/root", "XDG_STATE_HOME=/root/s", "TZ=UTC"}); !slices.Equal(got,
		[]string{"TZ=UTC", "HOME=" + p.Home}) {
		t.Errorf("its environment: %v", got)
	}
	needs.Root(t)
	dir, err := os.MkdirTemp("", "skyctl-person-") // others cannot enter the directories of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a")
	if err := p.RunAs(func() error { return os.WriteFile(file, nil, 0o600) }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1 || int(st.Gid) != p.GID {
		t.Errorf("the file belongs to %d:%d", st.Uid, st.Gid)
	}
	if os.Geteuid() != 0 || os.Getegid() != 0 {
		t.Errorf("root's rights were not taken back: %d, %d", os.Geteuid(), os.Getegid())
	}
}
