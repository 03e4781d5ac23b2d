package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
)

// serviceTailLines is how many lines of the journal are shown if skyd does not start.
const serviceTailLines = 20

// findService returns the service that runs skyd of this state directory, or nil if none is installed.
func (a *app) findService(cfg *config.Config) (*service.Service, error) {
	if a.env.Computer == nil || cfg.IsExternal() {
		return nil, nil
	}
	p, err := a.env.Computer.FindPerson(false)
	if err != nil {
		return nil, nil //nolint:nilerr // who has no name has installed nothing
	}
	return a.env.Computer.Find(cfg.Dir, p)
}

// launchSkyd starts skyd: as the service, if one is installed, or else in the background.
func (a *app) launchSkyd(ctx context.Context, cfg *config.Config) (daemon.State, *service.Service, error) {
	s, err := a.findService(cfg)
	if err != nil {
		return daemon.State{}, nil, err
	}
	if s != nil && !cfg.NewSecretsKey {
		state, err := a.startService(ctx, cfg, s)
		return state, s, err
	}
	skyd, err := a.env.Skyd()
	if err != nil {
		return daemon.State{}, nil, err
	}
	state, err := daemon.EnsureRunning(ctx, cfg, skyd)
	if err != nil || s == nil {
		return state, nil, err
	}
	// Only a skyd in the background takes --new-secrets-key. It has made the key: the service can take over.
	if err := daemon.Stop(ctx, cfg); err != nil {
		return state, nil, err
	}
	state, err = a.startService(ctx, cfg, s)
	return state, s, err
}

// startService starts the service and waits until its skyd is ready.
func (a *app) startService(ctx context.Context, cfg *config.Config, s *service.Service) (daemon.State, error) {
	if err := s.Start(ctx); err != nil {
		return daemon.State{}, fmt.Errorf("starting skyd: %w", err)
	}
	return a.awaitService(ctx, cfg, s)
}

// awaitService waits until the skyd of a service that was just started is ready.
func (a *app) awaitService(ctx context.Context, cfg *config.Config, s *service.Service) (daemon.State, error) {
	state, err := daemon.AwaitReady(ctx, cfg, func() error {
		pid, err := s.FindPID(ctx)
		if err == nil && pid == 0 {
			return errors.New("it exited")
		}
		return err
	})
	if err == nil {
		return state, requireOwnProcess(ctx, cfg, s, state)
	}
	err = fmt.Errorf("starting skyd as the %s: %w; it is started again every few seconds until skyctl server stop",
		s.Describe(), err)
	if tail := s.ReadJournalTail(ctx, serviceTailLines); tail != "" {
		err = fmt.Errorf("%w. The last lines of its journal:\n%s", err, tail)
	}
	return state, err
}

// requireOwnProcess fails if the skyd that answers is not the service's: somebody started it at the same moment, and
// the service's own cannot start beside it.
func requireOwnProcess(ctx context.Context, cfg *config.Config, s *service.Service, state daemon.State) error {
	pid, err := s.FindPID(ctx)
	if err != nil || pid == state.PID {
		return err
	}
	return fmt.Errorf("the skyd of %s is process %d, which is not the %s: run skyctl server restart", cfg.Dir,
		state.PID,
		s.Describe())
}

// stopSkyd stops the service, if one is installed, and whatever skyd runs on the state directory.
func (a *app) stopSkyd(ctx context.Context, cfg *config.Config, s *service.Service) error {
	pid, err := daemon.FindLockHolder(cfg.LockFile())
	if err != nil {
		return err
	}
	if s != nil {
		// A service that fails and is started again has no process to stop. The process of a unit of the system can be
		// stopped without root's rights: the unit does not start it again.
		if err := s.Stop(ctx); err != nil && (!s.IsOfSystem() || pid == 0) {
			return err
		}
	}
	return daemon.Stop(ctx, cfg)
}

// describeSkyd says which process runs where, for a person.
func describeSkyd(state daemon.State, s *service.Service) string {
	text := fmt.Sprintf("process %d", state.PID)
	if s != nil {
		text += ", " + s.Describe()
	}
	return text
}

// printPortNote says once why skyd uses other ports than the usual ones: its first start with them records it.
func (a *app) printPortNote(state daemon.State) {
	if state.PortNote != "" {
		a.printNote(state.PortNote)
	}
}
