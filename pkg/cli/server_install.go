package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
	"github.com/sky-shift/skyctl/pkg/server/unit"
)

// serviceOptions is one run of server install or server uninstall.
type serviceOptions struct {
	*app
	system bool
	person service.Person
}

func (a *app) newServerInstallCommand() *cobra.Command {
	o := &serviceOptions{app: a}
	cmd := &cobra.Command{
		Use: "install", Short: "Run the server from boot on, as a service of this computer", Args: refuseArgs,
		Long: `Installs the server as a service that starts when the computer boots, and again after a failure. Clusters
are then repaired, and machines of stopped Docker hosts started again, without a command. A server that
runs already is taken over.

On Linux it is a systemd unit of your own service manager, which starts at boot without a login
(loginctl enable-linger). With --system, as root, it is a unit of the whole system that runs as the user
who called sudo. On macOS it is a launchd job, which starts when you log in.

The service has the state directory and the settings that skyctl server start would use now, and your
proxies and paths. It reads config.yaml at each start. Run skyctl server install again after you changed
flags or variables. Variables that are secrets of a cloud are not written: skyd reads the clouds' own
files, such as ~/.aws/credentials.`,
		Example: "  skyctl server install\n  sudo skyctl server install --system\n  skyctl server logs -f",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.install(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.system, "system", false,
		"install a unit of the whole system (needs root), which runs as the user who called sudo")
	return cmd
}

func (a *app) newServerUninstallCommand() *cobra.Command {
	o := &serviceOptions{app: a}
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Remove the service that skyctl server install created", Args: refuseArgs,
		Long: "Stops the server and removes its service. The state directory, clusters and machines stay: the next " +
			"command starts the server in the background. skyctl uninstall removes everything.",
		Example: "  skyctl server uninstall\n  sudo skyctl server uninstall --system",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.uninstall(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.system, "system", false, "remove the unit of the whole system (needs root)")
	return cmd
}

// prepare reads the settings as the person whose skyd is meant.
func (o *serviceOptions) prepare() (*config.Config, error) {
	computer := o.env.Computer
	if computer == nil {
		return nil, &serverError{&service.UnsupportedError{Why: "no service manager is known here"}}
	}
	var err error
	o.person, err = computer.FindPerson(o.system)
	if errors.Is(err, service.ErrNeedsRoot) {
		return nil, usageErrorf("--system needs root: sudo %s --system", o.command.CommandPath())
	}
	if err != nil {
		return nil, err
	}
	o.env.Getenv = o.person.Getenv(o.env.Getenv)
	var cfg *config.Config
	err = o.person.RunAs(func() (err error) {
		cfg, err = o.requireLocalServer()
		return err
	})
	return cfg, err
}

func (o *serviceOptions) install(ctx context.Context) error {
	cfg, err := o.prepare()
	if err != nil {
		return err
	}
	s, err := o.chooseService(cfg)
	if err != nil {
		return err
	}
	if err := requireDiskToStart(cfg); err != nil {
		return err
	}
	skyd, err := o.env.Skyd()
	if err != nil {
		return &serverError{err}
	}
	program := service.Program{Skyd: skyd, LogFile: cfg.LogFile()}
	var environ, withheld []string
	if o.env.Environ != nil {
		environ = o.person.Environ(o.env.Environ())
	}
	program.Variables, withheld = unit.ChooseVariables(environ, cfg.DevEnviron())
	if err := o.person.RunAs(func() error { return config.MakeDir(cfg.Dir) }); err != nil {
		return err
	}
	err = o.runWithSpinner("Installing the service", false, func(sp *terminal.Spinner) error {
		state, already, err := o.installAndStart(ctx, cfg, s, program)
		if err != nil {
			return &serverError{err}
		}
		sp.KeepLine()
		if already {
			_, err = fmt.Fprintf(o.env.Out, "The server already runs as the %s (process %d). Web UI: %s\n",
				s.Describe(), state.PID, state.UIAddress)
			return err
		}
		o.printPortNote(state)
		_, err = fmt.Fprintf(o.env.Out, "The server runs as the %s (process %d), and starts when the computer does. "+
			"Web UI: %s\n", s.Describe(), state.PID, state.UIAddress)
		return err
	})
	if err == nil && len(withheld) > 0 {
		o.printNote(fmt.Sprintf("not written into the service, because they are secrets: %s. skyd reads the clouds' "+
			"own files instead, such as ~/.aws/credentials", strings.Join(withheld, ", ")))
	}
	return err
}

// chooseService returns the service to install, and refuses a second one for the same state directory.
func (o *serviceOptions) chooseService(cfg *config.Config) (*service.Service, error) {
	s, err := o.env.Computer.New(cfg.Dir, o.person, o.system)
	if err != nil {
		return nil, &serverError{err}
	}
	installed, err := o.env.Computer.Find(cfg.Dir, o.person)
	if err != nil {
		return nil, err
	}
	if installed != nil && !installed.Same(s) {
		return nil, &stateError{fmt.Errorf("skyd is the %s already, and two services cannot share %s: first run %s",
			installed.Describe(), cfg.Dir, uninstallCommand(installed))}
	}
	return s, nil
}

// uninstallCommand is the command that removes a service.
func uninstallCommand(s *service.Service) string {
	if s.IsOfSystem() {
		return "sudo skyctl server uninstall --system"
	}
	return "skyctl server uninstall"
}

// installAndStart installs the service, and has it take over from a skyd that runs outside of it. already means that
// nothing had to be changed. Two skyds never run: each holds the lock of the state directory.
func (o *serviceOptions) installAndStart(ctx context.Context, cfg *config.Config, s *service.Service,
	program service.Program) (state daemon.State, already bool, err error) {
	running, err := daemon.FindRunning(cfg)
	if err != nil && !errors.Is(err, daemon.ErrNotRunning) && !errors.Is(err, daemon.ErrNotReady) {
		return state, false, err
	}
	changed, err := s.Install(ctx, program)
	if err != nil {
		return state, false, err
	}
	pid, err := s.FindPID(ctx)
	if err != nil {
		return state, false, err
	}
	already = pid != 0 && running.PID == pid && !changed
	switch {
	case already:
	case pid != 0 && running.PID == pid:
		err = s.Restart(ctx)
	default: // no skyd, or one outside of the service
		if err = daemon.Stop(ctx, cfg); err == nil {
			err = s.Start(ctx)
		}
	}
	if err != nil {
		return state, false, err
	}
	state, err = o.awaitService(ctx, cfg, s)
	return state, already, err
}

func (o *serviceOptions) uninstall(ctx context.Context) error {
	cfg, err := o.prepare()
	if err != nil {
		return err
	}
	s, err := o.env.Computer.Find(cfg.Dir, o.person)
	switch {
	case err != nil:
		return err
	case s == nil:
		_, err = fmt.Fprintf(o.env.Out, "No service is installed for %s.\n", cfg.Dir)
		return err
	case s.IsOfSystem() != o.system:
		return usageErrorf("skyd is the %s: run %s", s.Describe(), uninstallCommand(s))
	}
	return o.runWithSpinner("Removing the service", false, func(sp *terminal.Spinner) error {
		if err := s.Uninstall(ctx); err != nil {
			return &serverError{err}
		}
		if err := daemon.Stop(ctx, cfg); err != nil {
			return &serverError{err}
		}
		sp.KeepLine()
		_, err := fmt.Fprintf(o.env.Out, "Removed the %s. The server is stopped; clusters and machines stay.\n",
			s.Describe())
		return err
	})
}
