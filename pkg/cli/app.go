package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/contexts"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// app is one run of skyctl: its environment, and the state that its commands share.
type app struct {
	env   Environment
	flags *pflag.FlagSet
	// args is the command line, and command the running command, once its flags are read.
	args    []string
	command *cobra.Command

	// helpWidth is the width of help in cells; 0 is that of the terminal.
	helpWidth int
	// helpErr says why --help shows nothing.
	helpErr error

	// choice is the installation that the command uses, once known.
	choice *contexts.Choice
	cfg    *config.Config
	ops    *client.Client
	// worker is the worker that runs the operation, once known.
	worker *knownWorker
	// quiet and verbose are -q and how often -v was given.
	quiet   bool
	verbose int
	// diskWarned: the warning about disk space was printed.
	diskWarned bool
	// creates is the spec of the cluster that this command creates, if any.
	creates *api.GroupSpec
	// slow prints that a server is slow.
	slow slowNotes
}

func (a *app) closeClient() {
	if a.ops != nil {
		a.ops.Close()
	}
}

// loadSettingsWithNotes reads the settings once and prints a note on each that has no effect. An invalid setting is a
// usage error.
func (a *app) loadSettingsWithNotes() (*config.Config, error) {
	if a.cfg != nil {
		return a.cfg, nil
	}
	cfg, err := a.loadSettings()
	if err != nil {
		return nil, err
	}
	a.noteUnknownSettings(cfg)
	return cfg, nil
}

// loadSettings is loadSettingsWithNotes without the notes.
func (a *app) loadSettings() (*config.Config, error) {
	if a.cfg == nil {
		cfg, err := a.readSettings()
		if err != nil {
			return nil, &usageError{err}
		}
		a.cfg = cfg
	}
	return a.cfg, nil
}

// connectClient returns the client of operations. It starts skyd if no servers are configured and none is running.
func (a *app) connectClient(ctx context.Context) (*client.Client, error) {
	if a.ops != nil {
		return a.ops, nil
	}
	cfg, err := a.loadSettingsWithNotes()
	if err != nil {
		return nil, err
	}
	if !cfg.IsExternal() {
		if err := a.ensureServer(ctx, cfg); err != nil {
			return nil, err
		}
	}
	a.ops = a.newClient(cfg)
	a.ops.SetNotice(func(text string) { a.slow.show(a.notes(), text) })
	return a.ops, nil
}

// newClient returns a client that has not connected yet.
func (a *app) newClient(cfg *config.Config) *client.Client {
	ops := client.New(cfg, a.env.Now)
	ops.SetPatience(a.env.Patience)
	return ops
}

// hasServer reports whether servers are configured, or skyd dev runs.
func (a *app) hasServer() bool {
	cfg, err := a.loadSettingsWithNotes()
	if err != nil || cfg.IsExternal() {
		return err == nil
	}
	_, err = daemon.FindRunning(cfg)
	return err == nil
}

// ensureServer makes sure that skyd dev answers, and points the settings at it.
func (a *app) ensureServer(ctx context.Context, cfg *config.Config) error {
	state, err := daemon.FindRunning(cfg)
	started := errors.Is(err, daemon.ErrNotRunning) || errors.Is(err, daemon.ErrNotReady)
	if started {
		if err := requireDiskToStart(cfg); err != nil {
			return err
		}
		state, err = a.startServer(ctx, cfg)
	}
	if err != nil {
		return &serverError{err}
	}
	skew := newServerSkew(state)
	if started { // another start would run the same program
		skew.remedy = a.describeInstallRemedy(cfg)
	}
	a.noteVersionSkewOnce(cfg, skew)
	if err := a.checkServerCompatibility(cfg, state); err != nil {
		return err
	}
	state.ApplyTo(cfg)
	a.warnLowDisk(cfg)
	return nil
}

func (a *app) startServer(ctx context.Context, cfg *config.Config) (daemon.State, error) {
	// Without a terminal the line below is enough.
	s := terminal.StartSpinner(a.env.Err, "Starting skyd in the background", a.quiet || !terminal.IsTerminal(a.env.Err))
	state, service, err := a.launchSkyd(ctx, cfg)
	s.ClearLine()
	if err != nil {
		return state, err
	}
	how := "in the background"
	if service != nil {
		how = "(" + service.Describe() + ")"
	}
	fmt.Fprintf(a.notes(), "Started skyd %s. Web UI: %s. To stop it: skyctl server stop\n", how, state.UIAddress)
	a.printPortNote(state)
	return state, nil
}
