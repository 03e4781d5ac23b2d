package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/semver"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// upgradeHealthTimeout is how long the servers of a new skyd may take to answer after it is ready.
const (
	upgradeHealthTimeout = 30 * time.Second
	upgradeHealthPause   = 500 * time.Millisecond
)

func (a *app) newServerUpgradeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "upgrade", Short: "Replace the running server by the installed version", Args: refuseArgs,
		Long: `Restarts the server with the skyd that was installed with this skyctl. It first checks that both have
the same version and that it is not older than the running one. A service runs that skyd from now on. It
returns when etcd, Temporal and the worker answer, and says what has changed. Operations that are under
way resume, and clusters and their machines stay as they are.

Install the new version first, for example with install.sh. skyctl server backup keeps a way back.`,
		Example: "  skyctl server backup /mnt/usb/skyctl.backup\n  skyctl server upgrade",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runServerUpgrade(cmd.Context()) },
	}
}

// serverUpgrade is what one server upgrade does.
type serverUpgrade struct {
	service *service.Service
	// skyd is the program, and version its version and that of this skyctl.
	skyd, version string
	// before is the running skyd; its PID is 0 if none runs.
	before daemon.State
	// setAside is how many databases had been set aside before.
	setAside int
}

func (a *app) runServerUpgrade(ctx context.Context) error {
	cfg, err := a.loadSettingsWithNotes()
	if err != nil {
		return err
	}
	if cfg.IsExternal() {
		return usageErrorf("external servers are configured, Temporal (%s): install the new version where skyd worker "+
			"runs, restart all workers, then install it on the members' computers", cfg.Temporal.Address)
	}
	if err := requireDiskToStart(cfg); err != nil {
		return err
	}
	var u *serverUpgrade
	var changed bool
	var state daemon.State
	return a.runWithSpinner("Upgrading server", false, func(sp *terminal.Spinner) error {
		if u, err = a.planServerUpgrade(ctx, cfg); err != nil {
			return err
		}
		if changed, state, err = a.upgradeSkyd(ctx, cfg, u); err != nil {
			return &serverError{err}
		}
		sp.KeepLine()
		_, err = fmt.Fprint(a.env.Out, u.format(state, changed, daemon.ReadSetAsideDatabases(cfg)))
		return err
	})
}

// planServerUpgrade checks the versions. Nothing is changed.
func (a *app) planServerUpgrade(ctx context.Context, cfg *config.Config) (*serverUpgrade, error) {
	u := &serverUpgrade{version: build.ReadBuild().Version, setAside: len(daemon.ReadSetAsideDatabases(cfg))}
	var err error
	if u.service, err = a.findService(cfg); err != nil {
		return nil, err
	}
	if u.skyd, err = a.env.Skyd(); err != nil {
		return nil, &serverError{err}
	}
	installed, err := daemon.ReadSkydVersion(ctx, u.skyd)
	if err != nil {
		return nil, &serverError{err}
	}
	u.before, err = daemon.FindRunning(cfg)
	if err != nil && !errors.Is(err, daemon.ErrNotRunning) && !errors.Is(err, daemon.ErrNotReady) {
		return nil, err
	}
	return u, u.check(installed)
}

// check refuses programs of two versions, and an older version than the running one.
func (u *serverUpgrade) check(installed string) error {
	if installed != u.version {
		return &stateError{fmt.Errorf("this skyctl is %s, and %s is %s: install the same version of both first",
			u.version, u.skyd, installed)}
	}
	running := u.before.Version
	if u.before.Level > api.WorkerLevel || isReleasedVersion(running) && isReleasedVersion(installed) &&
		semver.Compare(running, installed) > 0 {
		return &stateError{fmt.Errorf("the running server (process %d) is skyd %s, and %s is the older %s, which may "+
			"not know all that the newer one has stored: install %s or newer. To go back to %s, restore a backup from "+
			"before the upgrade (skyctl server restore)", u.before.PID, running, u.skyd, installed, running, installed)}
	}
	return nil
}

// upgradeSkyd has the service run the program, and replaces a running skyd of another version. changed means that
// something had to be done.
func (a *app) upgradeSkyd(ctx context.Context, cfg *config.Config, u *serverUpgrade) (changed bool,
	state daemon.State, err error) {
	if u.service != nil {
		if changed, err = u.service.UseProgram(ctx, u.skyd); err != nil {
			return false, state, err
		}
	}
	if u.before.Version == u.version && !changed {
		return false, u.before, nil
	}
	if u.before.PID == 0 {
		return changed, state, nil
	}
	state, err = a.restartSkyd(ctx, cfg, u.service)
	if err == nil {
		err = a.awaitHealth(ctx, cfg, state)
	}
	if err != nil {
		return true, state, fmt.Errorf("skyd %s does not work: %w\nClusters and their machines stay as they are. To "+
			"go back, install %s again and run %s", u.version, err, cmp.Or(u.before.Version, "the version before"),
			restartServerCommand)
	}
	return true, state, nil
}

// awaitHealth waits until all servers of a skyd answer.
func (a *app) awaitHealth(ctx context.Context, cfg *config.Config, state daemon.State) error {
	state.ApplyTo(cfg)
	ops := a.newClient(cfg)
	defer ops.Close()
	limit := upgradeHealthTimeout + a.env.Patience
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not all servers answer after %v", limit))
	defer cancel()
	return await.Success(ctx, upgradeHealthPause, func() error {
		for _, p := range ops.CheckHealth(ctx) {
			if p.Err != nil {
				return p.Err
			}
		}
		return nil
	})
}

// format says what was done.
func (u *serverUpgrade) format(state daemon.State, changed bool, setAside []daemon.SetAsideDatabase) string {
	switch {
	case !changed && u.before.PID == 0:
		return fmt.Sprintf("The server is not running. The next start runs skyd %s.\n", u.version)
	case !changed:
		return fmt.Sprintf("The server already is skyd %s (%s).\n", u.version, describeSkyd(state, u.service))
	case u.before.PID == 0:
		return fmt.Sprintf("The server is not running. The %s runs %s, skyd %s, from its next start on.\n",
			u.service.Describe(), u.skyd, u.version)
	}
	if u.before.Version == u.version {
		return fmt.Sprintf("The server runs %s now, skyd %s (%s). Operations that were under way resume.\n", u.skyd,
			u.version, describeSkyd(state, u.service))
	}
	text := fmt.Sprintf("The server was skyd %s and is %s (%s). Operations that were under way resume. Web UI: %s\n",
		cmp.Or(u.before.Version, "of an unknown version"), u.version, describeSkyd(state, u.service), state.UIAddress)
	if len(setAside) > u.setAside {
		text += fmt.Sprintf("Temporal's database has a new schema: the old one, with the history of finished "+
			"operations, is in %s.\n", setAside[len(setAside)-1].Dir)
	}
	return text
}
