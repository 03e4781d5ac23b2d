package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

func (a *app) newServerCommand() *cobra.Command {
	return newCommandGroup("server", "Start, stop or look at the server on this machine",
		`The server is skyd: Temporal with its Web UI, etcd and the worker in one process, all data under
~/.skyconf. Any command that needs it starts it where nothing is configured and nothing runs.
What it does is durable: it may be stopped or killed at any time, and goes on when it starts again.`,
		"  skyctl server status\n  skyctl server stop\n  skyctl server adopt",
		a.newServerStartCommand(),
		&cobra.Command{
			Use: "stop", Short: "Stop the server", Args: refuseArgs,
			Long: "Stops the server. Work that is under way goes on when it starts again; clusters and their " +
				"machines stay as they are.",
			Example: "  skyctl server stop",
			RunE:    func(cmd *cobra.Command, _ []string) error { return a.runServerStop(cmd.Context()) },
		},
		a.newServerStatusCommand(), a.newServerAdoptCommand())
}

func (a *app) newServerStartCommand() *cobra.Command {
	newKey := false
	cmd := &cobra.Command{
		Use: "start", Short: "Start the server in the background", Args: refuseArgs,
		Long: `Starts the server in the background and returns once it is ready. One that runs already is left as it is.

It refuses to start where secrets.key is missing, or is not the one that the secrets in etcd are
sealed with. Put the right one back from your backup. --new-secrets-key is for who has lost it for
good: it makes another one, keeps the old file under another name, and gives up what was sealed: the
SSH keys, tokens and kubeconfigs of all clusters. They can then be deleted, and no longer looked after.`,
		Example: "  skyctl server start",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runServerStart(cmd.Context(), newKey) },
	}
	cmd.Flags().BoolVar(&newKey, "new-secrets-key", false,
		"make a new secrets key, and give up what was sealed with the lost one")
	return cmd
}

// requireLocalServer gives the settings, and refuses where the servers are somebody else's.
func (a *app) requireLocalServer() (*config.Config, error) {
	cfg, err := a.loadSettingsWithNotes()
	if err == nil && cfg.IsExternal() {
		err = a.newExternalServersError(cfg)
	}
	return cfg, err
}

func (a *app) newExternalServersError(cfg *config.Config) error {
	return usageErrorf("an external Temporal (%s) and etcd (%s) are configured: there is no server here to start or "+
		"stop",
		cfg.Temporal.Address, strings.Join(cfg.Etcd.Endpoints, ", "))
}

func (a *app) runServerStart(ctx context.Context, newKey bool) error {
	cfg, err := a.requireLocalServer()
	if err != nil {
		return err
	}
	cfg.NewSecretsKey = newKey
	state, err := daemon.FindRunning(cfg)
	if err == nil {
		a.warnLowDisk(cfg)
		if _, err = fmt.Fprintf(a.env.Out, "The server runs already (process %d). Web UI: %s\n", state.PID,
			state.UIAddress); err != nil {
			return err
		}
		return a.checkServerCompatibility(cfg, state)
	}
	if err := requireDiskToStart(cfg); err != nil {
		return err
	}
	return a.runWithSpinner("Starting server", false, func(s *terminal.Spinner) error {
		skyd, err := a.env.Skyd()
		if err != nil {
			return &serverError{err}
		}
		state, err := daemon.EnsureRunning(ctx, cfg, skyd)
		if err != nil {
			return &serverError{err}
		}
		s.KeepLine()
		_, err = fmt.Fprintf(a.env.Out, "The server runs (process %d). Web UI: %s\n", state.PID, state.UIAddress)
		return err
	})
}

// runServerStop stops what runs on the state directory, whatever the settings say, or whether they can be read at all:
// else one that was started before they were changed could not be stopped.
func (a *app) runServerStop(ctx context.Context) error {
	cfg, wrong := a.loadSettingsWithNotes()
	if wrong != nil {
		var err error
		if cfg, err = config.LoadPaths(a.flags, a.env.Getenv); err != nil {
			return &usageError{err}
		}
	}
	_, err := daemon.FindRunning(cfg)
	runs := !errors.Is(err, daemon.ErrNotRunning)
	if wrong != nil {
		a.printNote(fmt.Sprintf("the settings are wrong, and not needed to stop the server of %s: %v", cfg.Dir, wrong))
	}
	switch {
	case !runs && wrong == nil && cfg.IsExternal():
		return a.newExternalServersError(cfg)
	case !runs:
		_, err = fmt.Fprintln(a.env.Out, "The server is not running.")
		return err
	}
	return a.runWithSpinner("Stopping server", false, func(s *terminal.Spinner) error {
		if err := daemon.Stop(ctx, cfg); err != nil {
			return &serverError{err}
		}
		s.KeepLine()
		_, err := fmt.Fprintln(a.env.Out, "The server is stopped.")
		return err
	})
}

// serverState is what server status prints for programs.
type serverState struct {
	Running  bool                `json:"running"`
	External bool                `json:"external"`
	PID      int                 `json:"pid,omitempty"`
	Version  string              `json:"version,omitempty"`
	Started  time.Time           `json:"started,omitzero"`
	Parts    []render.ServerPart `json:"parts"`
	UI       string              `json:"ui,omitempty"`
	// Differs are the settings that were given here and that the server does not use.
	Differs []config.SettingDifference `json:"differs,omitempty"`
	// Disk is that of the state directory, Home what is recorded of the installation's home.
	Disk *diskState `json:"disk,omitempty"`
	Home *api.Home  `json:"home,omitempty"`
	// SetAside are databases of Temporal that another version wrote; they are kept.
	SetAside []daemon.SetAsideDatabase `json:"set_aside,omitempty"`
}

func (a *app) newServerStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Say what runs, and where it answers", Args: refuseArgs,
		Long: "Says whether etcd, Temporal and a worker answer, and where. It starts nothing; it ends with 5 " +
			"where one of them does not answer.",
		Example: "  skyctl server status\n  skyctl server status -o json",
	}
	output := addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON, render.AsYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadSettingsWithNotes()
		if err != nil {
			return err
		}
		state := serverState{External: cfg.IsExternal(), Parts: []render.ServerPart{}}
		problem := a.readServerState(cmd.Context(), cfg, &state)
		if !cfg.IsExternal() {
			disk, full := readDiskState(cfg)
			state.Disk = disk
			if full != nil { // whatever else is wrong, is so because of this
				problem = &reportedError{full}
			}
			state.SetAside = daemon.ReadSetAsideDatabases(cfg)
		}
		if output.isStructured() {
			err = render.WriteStructured(a.env.Out, output.form(), state)
		} else {
			_, err = fmt.Fprint(a.env.Out, state.toPage().RenderPage(a.env.Now()))
		}
		return errors.Join(err, problem)
	}
	return cmd
}

// readServerState fills in what answers; its error is the first thing that does not.
func (a *app) readServerState(ctx context.Context, cfg *config.Config, state *serverState) error {
	if !cfg.IsExternal() {
		own, err := daemon.FindRunning(cfg)
		if err != nil {
			state.PID = own.PID
			return &reportedError{&serverError{err}}
		}
		if err := a.checkServerCompatibility(cfg, own); err != nil {
			return err
		}
		state.Differs = a.worker.differs
		own.ApplyTo(cfg)
		state.PID, state.Version, state.Started = own.PID, own.Version, own.Started
	}
	state.UI = cfg.UI.Address
	ops := client.New(cfg, a.env.Now)
	defer ops.Close()
	var problem error
	state.Running = true
	for _, p := range ops.CheckHealth(ctx) {
		text := "answers"
		if p.Err != nil {
			text, state.Running = p.ProblemText(), false
			if problem == nil {
				problem = &reportedError{p.Err}
			}
		}
		state.Parts = append(state.Parts, render.ServerPart{Name: p.Name, Address: p.Where, State: text})
	}
	if len(state.Parts) > 0 && state.Parts[0].State == "answers" { // that is etcd
		if h, err := ops.ReadHome(ctx); err == nil && h.Starts > 0 {
			state.Home = &h
		}
	}
	return problem
}

func (s serverState) toPage() render.ServerPage {
	p := render.ServerPage{Version: s.Version, PID: s.PID, Started: s.Started, UI: s.UI, Parts: s.Parts}
	if s.Disk != nil {
		p.Disk = &render.DiskLine{Dir: s.Disk.Dir, Text: s.Disk.formatSpace(), HasProblem: s.Disk.Problem != ""}
	}
	if s.Home != nil && s.Home.Doubt != nil {
		p.Doubt = (&client.HomeDoubtError{Doubt: s.Home.Doubt}).Error()
	}
	for _, a := range s.SetAside {
		p.SetAside = append(p.SetAside, render.SetAsideDatabase{Schema: a.Schema, Dir: a.Dir, At: a.At})
	}
	return p
}
