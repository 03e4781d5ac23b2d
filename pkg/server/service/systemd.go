package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/server/unit"
)

// verb is a change of a service.
type verb int

const (
	enable verb = iota
	disable
	forget
	start
	stop
	restart
)

// systemdCommands returns the arguments of systemctl for a verb.
func systemdCommands(v verb, name string) [][]string {
	switch v {
	case enable:
		return [][]string{{"daemon-reload"}, {"enable", "--quiet", name}}
	case disable:
		return [][]string{{"disable", "--quiet", "--now", name}}
	case forget:
		return [][]string{{"daemon-reload"}}
	case start:
		return [][]string{{"start", name}}
	case stop:
		return [][]string{{"stop", name}}
	default:
		return [][]string{{"restart", name}}
	}
}

// scope is what systemctl and journalctl need before their arguments.
func (s *Service) scope() []string {
	if s.kind == systemdUser {
		return []string{"--user"}
	}
	return nil
}

func (s *Service) runSystemd(ctx context.Context, v verb) error {
	for _, arguments := range systemdCommands(v, s.name) {
		if _, err := s.systemctl(ctx, arguments...); err != nil {
			return s.explain(err, v)
		}
	}
	return nil
}

func (s *Service) systemctl(ctx context.Context, arguments ...string) (string, error) {
	argv := slices.Concat([]string{"systemctl"}, s.scope(), []string{"--no-ask-password"}, arguments)
	return s.computer.Run(ctx, argv, s.environment())
}

// environment is what systemctl needs to find the user's service manager where no session has set it, as in cron, or
// where it is still another user's, as after su.
func (s *Service) environment() []string {
	if s.kind != systemdUser {
		return nil
	}
	dir := "/run/user/" + strconv.Itoa(s.person.UID)
	if there, err := exists(dir); s.computer.Env("XDG_RUNTIME_DIR") != "" && (err != nil || !there) {
		return nil
	}
	return []string{"XDG_RUNTIME_DIR=" + dir}
}

// explain says what to do about an error of systemctl.
func (s *Service) explain(err error, v verb) error {
	words := map[verb]string{start: "start", stop: "stop", restart: "restart"}
	var failed *CommandError
	if errors.As(err, &failed) && failed.IsDenied() && s.IsOfSystem() && words[v] != "" {
		return fmt.Errorf("skyd is the %s, which only root can %s: sudo systemctl %s %s\n%w", s.Describe(), words[v],
			words[v], s.name, err)
	}
	return err
}

func (s *Service) findSystemdPID(ctx context.Context) (int, error) {
	text, err := s.systemctl(ctx, "show", "--property=MainPID", "--value", s.name)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("systemctl reports %q as the process of %s", text, s.name)
	}
	return pid, nil
}

// IsStarting reports whether the service runs, or waits to be started again after a failure.
func (s *Service) IsStarting(ctx context.Context) bool {
	if s.kind == launchdUser {
		loaded, _, err := s.readLaunchd(ctx)
		return err == nil && loaded
	}
	// systemctl exits with 3 for each other state than active.
	text, _ := s.systemctl(ctx, "is-active", s.name)
	return text == "active" || text == "activating" || text == "deactivating" || text == "reloading"
}

// lingerFile exists while the user's service manager runs without a session, from boot on; see loginctl(1).
func (s *Service) lingerFile() string {
	return filepath.Join(s.computer.Root, "/var/lib/systemd/linger", s.person.Name)
}

// ensureLinger makes the user's service manager start at boot. It reports whether this service enabled that, now or
// when it was installed before.
func (s *Service) ensureLinger(ctx context.Context) (enabled bool, err error) {
	lingers, err := exists(s.lingerFile())
	if err != nil {
		return false, fmt.Errorf("looking whether services of %s start at boot: %w", s.person.Name, err)
	}
	if lingers {
		return s.hasEnabledLinger(), nil
	}
	if _, err := s.computer.Run(ctx, []string{"loginctl", "--no-ask-password", "enable-linger", s.person.Name},
		nil); err != nil {
		return false, fmt.Errorf("services of %s do not start at boot, and this could not be changed: run "+
			"sudo loginctl enable-linger %s, and try again; or use sudo skyctl server install --system\n%w",
			s.person.Name, s.person.Name, err)
	}
	return true, s.awaitUserManager(ctx)
}

// awaitUserManager waits until the user's service manager, which enable-linger starts, answers.
func (s *Service) awaitUserManager(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, managerTimeout,
		fmt.Errorf("the service manager of %s does not answer after %v", s.person.Name, managerTimeout))
	defer cancel()
	return await.Success(ctx, managerPause, func() error {
		_, err := s.systemctl(ctx, "show", "--property=Version")
		return err
	})
}

const (
	managerTimeout = 20 * time.Second
	managerPause   = 100 * time.Millisecond
)

func (s *Service) hasEnabledLinger() bool {
	if s.kind != systemdUser {
		return false
	}
	text, err := regularfile.Read(s.file, regularfile.SmallFile)
	return err == nil && strings.Contains(string(text), "\n"+unit.EnabledLingerLine+"\n")
}

// disableLinger ends what ensureLinger began, unless another skyd of the user needs it.
func (s *Service) disableLinger(ctx context.Context) error {
	others, err := filepath.Glob(filepath.Join(filepath.Dir(s.file), "skyd*.service"))
	if err != nil || len(others) > 0 {
		return err
	}
	if lingers, err := exists(s.lingerFile()); err != nil || !lingers {
		return err
	}
	_, err = s.computer.Run(ctx, []string{"loginctl", "--no-ask-password", "disable-linger", s.person.Name}, nil)
	return err
}

// JournalOptions say which part of the journal is printed.
type JournalOptions struct {
	Follow bool
	// Since is the oldest time; the zero time is the beginning.
	Since time.Time
	// Lines is how many lines are printed at most, from the end; 0: all.
	Lines int
}

func (s *Service) journalArguments(o JournalOptions) []string {
	unitOption := "--unit="
	if s.kind == systemdUser { // --user would leave out a journal that is not split by users, as one in memory
		unitOption = "--user-unit="
	}
	arguments := []string{unitOption + s.name, "--no-pager", "--output=cat"}
	if o.Follow {
		arguments = append(arguments, "--follow")
	}
	if !o.Since.IsZero() {
		arguments = append(arguments, "--since=@"+strconv.FormatInt(o.Since.Unix(), 10))
	}
	switch {
	case o.Lines > 0:
		arguments = append(arguments, "--lines="+strconv.Itoa(o.Lines))
	case o.Follow:
		arguments = append(arguments, "--lines=all")
	}
	return arguments
}
