package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/server/unit"
)

// kind is a kind of service.
type kind string

const (
	systemdUser   kind = "systemd user unit"
	systemdSystem kind = "systemd system unit"
	// systemdPackage is the unit of the packages, which a person has enabled with systemctl.
	systemdPackage kind = "systemd system unit of the package"
	launchdUser    kind = "launchd job"
)

// environmentFileName is the file of the state directory with the environment of a systemd unit.
const environmentFileName = "skyd.env"

// Service is the skyd of one state directory as a service, installed or not.
type Service struct {
	computer *Computer
	person   Person
	kind     kind
	// name is the unit or the label of the job, and file the one that defines it.
	name, file string
	stateDir   string
}

// New returns the service of a state directory. It writes nothing. system means a unit of the whole system.
func (c *Computer) New(stateDir string, p Person, system bool) (*Service, error) {
	k, err := c.findKind(system)
	if err != nil {
		return nil, err
	}
	return c.newService(k, stateDir, p), nil
}

func (c *Computer) newService(k kind, stateDir string, p Person) *Service {
	s := &Service{computer: c, person: p, kind: k, stateDir: stateDir}
	switch k {
	case systemdSystem:
		s.name = unit.FormatName(stateDir, p.defaultStateDir(), p.Name) + ".service"
		s.file = filepath.Join(c.Root, "/etc/systemd/system", s.name)
	case systemdPackage: // it is installed where it is enabled
		if s.name = unit.FormatPackageName(p.Name); s.name != "" && stateDir == p.defaultStateDir() {
			s.file = filepath.Join(c.Root, "/etc/systemd/system/multi-user.target.wants", s.name)
		}
	case systemdUser:
		s.name = unit.FormatName(stateDir, p.defaultStateDir(), "") + ".service"
		config := c.Env("XDG_CONFIG_HOME")
		if !filepath.IsAbs(config) {
			config = filepath.Join(p.Home, ".config")
		}
		s.file = filepath.Join(config, "systemd", "user", s.name)
	case launchdUser:
		s.name = "org.sky-shift." + unit.FormatName(stateDir, p.defaultStateDir(), "")
		s.file = filepath.Join(p.Home, "Library", "LaunchAgents", s.name+".plist")
	}
	return s
}

// Find returns the installed service of a state directory, or nil if there is none.
func (c *Computer) Find(stateDir string, p Person) (*Service, error) {
	kinds := []kind{systemdUser, systemdSystem, systemdPackage}
	if c.OS == "darwin" {
		kinds = []kind{launchdUser}
	}
	for _, k := range kinds {
		s := c.newService(k, stateDir, p)
		if s.file == "" {
			continue
		}
		there, err := exists(s.file)
		if err != nil {
			return nil, fmt.Errorf("looking for the %s of skyd: %w", k, err)
		}
		if there {
			return s, nil
		}
	}
	return nil, nil
}

// Describe names the service for people.
func (s *Service) Describe() string { return string(s.kind) + " " + s.name }

// File is the file that defines the service.
func (s *Service) File() string { return s.file }

// EnvironmentFile is the file with the environment of skyd; it is empty if skyctl writes none.
func (s *Service) EnvironmentFile() string {
	if s.kind == launchdUser || s.kind == systemdPackage {
		return ""
	}
	return filepath.Join(s.stateDir, environmentFileName)
}

// IsOfSystem reports whether only root can change the service.
func (s *Service) IsOfSystem() bool { return s.kind == systemdSystem || s.kind == systemdPackage }

// HasJournal reports whether the service manager keeps skyd's log.
func (s *Service) HasJournal() bool { return s.kind != launchdUser }

// Same reports whether two services are of the same kind and name.
func (s *Service) Same(other *Service) bool { return s.kind == other.kind && s.name == other.name }

// Program is what a service runs.
type Program struct {
	Skyd, LogFile string
	Variables     []unit.Variable
}

// Install writes the files of the service and has it start at boot. It does not start skyd now. It reports whether
// anything differs from what was installed before.
func (s *Service) Install(ctx context.Context, p Program) (changed bool, err error) {
	u := unit.Unit{Skyd: p.Skyd, StateDir: s.stateDir, EnvironmentFile: s.EnvironmentFile(), Label: s.name,
		LogFile: p.LogFile, Variables: p.Variables}
	if s.IsOfSystem() {
		u.User = s.person.Name
	}
	text, environment, err := s.render(u)
	if err != nil {
		return false, err
	}
	if s.kind == systemdUser {
		if u.EnabledLinger, err = s.ensureLinger(ctx); err != nil {
			return false, err
		}
		if text, environment, err = s.render(u); err != nil {
			return false, err
		}
	}
	if s.EnvironmentFile() != "" {
		err := s.person.RunAs(func() (err error) {
			changed, err = writeIfDifferent(s.EnvironmentFile(), environment)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	wrote, err := s.writeDefinition(text)
	if err != nil {
		return false, err
	}
	return changed || wrote, s.run(ctx, enable)
}

func (s *Service) render(u unit.Unit) (definition, environment string, err error) {
	if s.kind == launchdUser {
		definition, err = u.RenderLaunchd()
		return definition, "", err
	}
	if definition, err = u.RenderSystemd(); err != nil {
		return "", "", err
	}
	environment, err = unit.RenderEnvironmentFile(u.Variables)
	return definition, environment, err
}

func (s *Service) writeDefinition(text string) (changed bool, err error) {
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		return false, fmt.Errorf("writing the %s: %w", s.Describe(), err)
	}
	changed, err = writeIfDifferent(s.file, text)
	if err != nil || s.kind == launchdUser { // a job's file holds the environment
		return changed, err
	}
	// systemd warns of unit files that not everybody can read.
	return changed, os.Chmod(s.file, 0o644)
}

func writeIfDifferent(name, text string) (changed bool, err error) {
	old, err := regularfile.Read(name, regularfile.SmallFile)
	if err == nil && bytes.Equal(old, []byte(text)) {
		return false, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err := atomicfile.Write(name, []byte(text)); err != nil {
		return false, fmt.Errorf("writing %s: %w", name, err)
	}
	return true, nil
}

// UseProgram makes an installed service run another skyd from its next start on. It reports whether that differs from
// the one before.
func (s *Service) UseProgram(ctx context.Context, skyd string) (changed bool, err error) {
	text, err := regularfile.Read(s.file, regularfile.SmallFile)
	if err != nil {
		return false, fmt.Errorf("reading the %s: %w", s.Describe(), err)
	}
	replaced, err := unit.ReplaceProgram(string(text), skyd)
	if err != nil {
		return false, fmt.Errorf("changing the program of the %s: %w", s.Describe(), err)
	}
	if replaced == string(text) {
		return false, nil
	}
	if s.kind == systemdPackage {
		return false, fmt.Errorf("the %s runs the package's own skyd, not %s: upgrade the package and use its "+
			"skyctl, or run sudo skyctl server uninstall --system first", s.Describe(), skyd)
	}
	if s.IsOfSystem() && s.computer.UID != 0 {
		return false, fmt.Errorf("the %s runs another skyd than %s: %w", s.Describe(), skyd, ErrNeedsRoot)
	}
	if _, err := s.writeDefinition(replaced); err != nil {
		return false, err
	}
	return true, s.run(ctx, enable)
}

// Uninstall stops the service and removes its files.
func (s *Service) Uninstall(ctx context.Context) error {
	if s.IsOfSystem() && s.computer.UID != 0 {
		return ErrNeedsRoot
	}
	enabledLinger := s.hasEnabledLinger()
	if err := s.run(ctx, disable); err != nil {
		return err
	}
	for _, name := range []string{s.file, s.EnvironmentFile()} {
		if name == "" {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the %s: %w", s.Describe(), err)
		}
	}
	if err := s.run(ctx, forget); err != nil {
		return err
	}
	if enabledLinger {
		return s.disableLinger(ctx)
	}
	return nil
}

// Start starts the service, unless it runs.
func (s *Service) Start(ctx context.Context) error { return s.run(ctx, start) }

// Stop stops the service, until it is started or the computer boots.
func (s *Service) Stop(ctx context.Context) error { return s.run(ctx, stop) }

// Restart stops the service, if it runs, and starts it.
func (s *Service) Restart(ctx context.Context) error { return s.run(ctx, restart) }

// run runs the commands of a verb.
func (s *Service) run(ctx context.Context, v verb) error {
	if s.kind == launchdUser {
		return s.runLaunchd(ctx, v)
	}
	return s.runSystemd(ctx, v)
}

// FindPID returns the process of the service, or 0 if it does not run.
func (s *Service) FindPID(ctx context.Context) (int, error) {
	if s.kind == launchdUser {
		return s.findLaunchdPID(ctx)
	}
	return s.findSystemdPID(ctx)
}

// StreamJournal writes the journal of the service.
func (s *Service) StreamJournal(ctx context.Context, o JournalOptions, out, stderr io.Writer) error {
	argv := append([]string{"journalctl"}, s.journalArguments(o)...)
	var said bytes.Buffer
	err := s.computer.Stream(ctx, argv, s.environment(), out, io.MultiWriter(stderr, &said))
	if err != nil && strings.Contains(said.String(), "insufficient permissions") {
		return fmt.Errorf("the journal is not open to %s: run sudo usermod -aG systemd-journal %s, and log in "+
			"again\n%w",
			s.person.Name, s.person.Name, err)
	}
	return err
}

// ReadJournalTail returns the last lines of the journal, for an error. It is empty if they cannot be read.
func (s *Service) ReadJournalTail(ctx context.Context, lines int) string {
	if !s.HasJournal() {
		return ""
	}
	var out bytes.Buffer
	if s.StreamJournal(ctx, JournalOptions{Lines: lines}, &out, io.Discard) != nil {
		return ""
	}
	return strings.TrimSpace(out.String())
}
