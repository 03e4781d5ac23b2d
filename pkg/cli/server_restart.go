package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
)

func (a *app) newServerRestartCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restart", Short: "Stop the server and start it again", Args: refuseArgs,
		Long: `Stops the server, if it runs, and starts it again with the installed program and the present
settings: after an upgrade, or after a change of config.yaml. Running operations resume. If skyctl
server install has made the server a service, the service is restarted.`,
		Example: "  skyctl server restart",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runServerRestart(cmd.Context()) },
	}
}

func (a *app) runServerRestart(ctx context.Context) error {
	cfg, err := a.requireLocalServer()
	if err != nil {
		return err
	}
	if err := requireDiskToStart(cfg); err != nil {
		return err
	}
	s, err := a.findService(cfg)
	if err != nil {
		return err
	}
	var state daemon.State
	err = a.runWithSpinner("Restarting server", false, func(sp *terminal.Spinner) error {
		if state, err = a.restartSkyd(ctx, cfg, s); err != nil {
			return &serverError{err}
		}
		sp.KeepLine()
		_, err = fmt.Fprintf(a.env.Out, "The server is running (%s). Web UI: %s\n", describeSkyd(state, s),
			state.UIAddress)
		return err
	})
	if err == nil {
		skew := newServerSkew(state)
		skew.remedy = a.describeInstallRemedy(cfg)
		a.noteVersionSkew(skew)
	}
	return err
}

func (a *app) restartSkyd(ctx context.Context, cfg *config.Config, s *service.Service) (daemon.State, error) {
	if s == nil {
		if err := daemon.Stop(ctx, cfg); err != nil {
			return daemon.State{}, err
		}
		state, _, err := a.launchSkyd(ctx, cfg)
		return state, err
	}
	running, err := daemon.FindLockHolder(cfg.LockFile())
	if err != nil {
		return daemon.State{}, err
	}
	pid, err := s.FindPID(ctx)
	if err != nil {
		return daemon.State{}, err
	}
	if running != pid { // a skyd that somebody started by hand
		if err := daemon.Stop(ctx, cfg); err != nil {
			return daemon.State{}, err
		}
	}
	if err := s.Restart(ctx); err != nil {
		return daemon.State{}, err
	}
	return a.awaitService(ctx, cfg, s)
}
