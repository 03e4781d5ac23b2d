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
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// app is one run of skyctl: its environment, and what its commands share once they need it.
type app struct {
	env   Environment
	flags *pflag.FlagSet
	// command is the one that runs, once its flags are read.
	command *cobra.Command

	cfg *config.Config
	ops *client.Client
	// worker is who does the work, once that is known.
	worker *knownWorker
	// diskTold: that the disk has too little room was told.
	diskTold bool
	// creates is what this command is to create, if it is.
	creates *api.ClusterSpec
}

func (a *app) closeClient() {
	if a.ops != nil {
		a.ops.Close()
	}
}

// loadSettingsWithNotes reads flags, environment and file, once, and notes what of them does nothing. A wrong one is
// bad input.
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

// loadSettings is settings without the notes.
func (a *app) loadSettings() (*config.Config, error) {
	if a.cfg == nil {
		cfg, err := config.Load(a.flags, a.env.Getenv)
		if err != nil {
			return nil, &usageError{err}
		}
		a.cfg = cfg
	}
	return a.cfg, nil
}

// connectClient gives the client of operations, and starts skyd where nothing is configured and nothing runs.
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
	a.ops = client.New(cfg, a.env.Now)
	return a.ops, nil
}

// ensureServer makes sure that a skyd dev answers, and points the settings at it.
func (a *app) ensureServer(ctx context.Context, cfg *config.Config) error {
	state, err := daemon.FindRunning(cfg)
	if errors.Is(err, daemon.ErrNotRunning) || errors.Is(err, daemon.ErrNotReady) {
		if err := requireDiskToStart(cfg); err != nil {
			return err
		}
		state, err = a.startServer(ctx, cfg)
	}
	if err != nil {
		return &serverError{err}
	}
	if err := a.checkServerCompatibility(cfg, state); err != nil {
		return err
	}
	state.ApplyTo(cfg)
	a.warnLowDisk(cfg)
	return nil
}

func (a *app) startServer(ctx context.Context, cfg *config.Config) (daemon.State, error) {
	skyd, err := a.env.Skyd()
	if err != nil {
		return daemon.State{}, err
	}
	// one line says it all elsewhere
	s := terminal.StartSpinner(a.env.Err, "Starting skyd in the background", !terminal.IsTerminal(a.env.Err))
	state, err := daemon.EnsureRunning(ctx, cfg, skyd)
	if err != nil {
		s.ClearLine()
		return state, err
	}
	s.ClearLine()
	fmt.Fprintf(a.env.Err, "Started skyd in the background; its Web UI is at %s (skyctl server stop ends it).\n",
		state.UIAddress)
	return state, nil
}
