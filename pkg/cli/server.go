package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/daemon"
	"github.com/sky-shift/skyctl/pkg/operations"
)

func (a *app) serverCommand() *cobra.Command {
	return group("server", "Start, stop or look at the server on this machine",
		`The server is skyd: Temporal with its Web UI, etcd and the worker in one process, all data under
~/.skyconf. Any command that needs it starts it where nothing is configured and nothing runs.
What it does is durable: it may be stopped or killed at any time, and goes on when it starts again.`,
		"  skyctl server status\n  skyctl server stop\n  skyctl server adopt",
		a.serverStart(),
		&cobra.Command{
			Use: "stop", Short: "Stop the server", Args: noArgs,
			Long:    "Stops the server. Work that is under way goes on when it starts again; clusters and their machines stay as they are.",
			Example: "  skyctl server stop",
			RunE:    func(cmd *cobra.Command, _ []string) error { return a.runStop(cmd.Context()) },
		},
		a.serverStatus(), a.serverAdopt())
}

func (a *app) serverStart() *cobra.Command {
	newKey := false
	cmd := &cobra.Command{
		Use: "start", Short: "Start the server in the background", Args: noArgs,
		Long: `Starts the server in the background and returns once it is ready. One that runs already is left as it is.

It refuses to start where secrets.key is missing, or is not the one that the secrets in etcd are
sealed with. Put the right one back from your backup. --new-secrets-key is for who has lost it for
good: it makes another one, keeps the old file under another name, and gives up what was sealed: the
SSH keys, tokens and kubeconfigs of all clusters. They can then be deleted, and no longer looked after.`,
		Example: "  skyctl server start",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runStart(cmd.Context(), newKey) },
	}
	cmd.Flags().BoolVar(&newKey, "new-secrets-key", false, "make a new secrets key, and give up what was sealed with the lost one")
	return cmd
}

// ownServer gives the settings, and refuses where the servers are somebody else's.
func (a *app) ownServer() (*config.Config, error) {
	cfg, err := a.settings()
	if err == nil && cfg.External() {
		err = a.noServerHere(cfg)
	}
	return cfg, err
}

func (a *app) noServerHere(cfg *config.Config) error {
	return usagef("an external Temporal (%s) and etcd (%s) are configured: there is no server here to start or stop",
		cfg.Temporal.Address, strings.Join(cfg.Etcd.Endpoints, ", "))
}

func (a *app) runStart(ctx context.Context, newKey bool) error {
	cfg, err := a.ownServer()
	if err != nil {
		return err
	}
	cfg.NewSecretsKey = newKey
	state, err := daemon.Status(cfg)
	if err == nil {
		a.noteDisk(cfg)
		if _, err = fmt.Fprintf(a.env.Out, "The server runs already (process %d). Web UI: %s\n", state.PID, state.UIAddress); err != nil {
			return err
		}
		return a.compareServer(cfg, state)
	}
	if err := requireRoomToStart(cfg); err != nil {
		return err
	}
	return a.working("Starting server", false, func(s *status) error {
		skyd, err := a.env.Skyd()
		if err != nil {
			return &serverError{err}
		}
		state, err := daemon.Start(ctx, cfg, skyd)
		if err != nil {
			return &serverError{err}
		}
		s.pause()
		_, err = fmt.Fprintf(a.env.Out, "The server runs (process %d). Web UI: %s\n", state.PID, state.UIAddress)
		return err
	})
}

// runStop stops what runs on the state directory, whatever the settings say, or whether they can be read at all: else one
// that was started before they were changed could not be stopped.
func (a *app) runStop(ctx context.Context) error {
	cfg, wrong := a.settings()
	if wrong != nil {
		var err error
		if cfg, err = config.Locate(a.flags, a.env.Getenv); err != nil {
			return &usageError{err}
		}
	}
	_, err := daemon.Status(cfg)
	runs := !errors.Is(err, daemon.ErrNotRunning)
	if wrong != nil {
		a.note(fmt.Sprintf("the settings are wrong, and not needed to stop the server of %s: %v", cfg.Dir, wrong))
	}
	switch {
	case !runs && wrong == nil && cfg.External():
		return a.noServerHere(cfg)
	case !runs:
		_, err = fmt.Fprintln(a.env.Out, "The server is not running.")
		return err
	}
	return a.working("Stopping server", false, func(s *status) error {
		if err := daemon.Stop(ctx, cfg); err != nil {
			return &serverError{err}
		}
		s.pause()
		_, err := fmt.Fprintln(a.env.Out, "The server is stopped.")
		return err
	})
}

// serverState is what server status prints for programs.
type serverState struct {
	Running  bool         `json:"running"`
	External bool         `json:"external"`
	PID      int          `json:"pid,omitempty"`
	Version  string       `json:"version,omitempty"`
	Started  time.Time    `json:"started,omitzero"`
	Parts    []serverPart `json:"parts"`
	UI       string       `json:"ui,omitempty"`
	// Differs are the settings that were given here and that the server does not use.
	Differs []config.Difference `json:"differs,omitempty"`
	// Disk is that of the state directory, Home what is recorded of the installation's home.
	Disk *diskState `json:"disk,omitempty"`
	Home *api.Home  `json:"home,omitempty"`
	// SetAside are databases of Temporal that another version wrote; they are kept.
	SetAside []daemon.SetAside `json:"set_aside,omitempty"`
}

type serverPart struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	State   string `json:"state"`
}

func (a *app) serverStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Say what runs, and where it answers", Args: noArgs,
		Long:    "Says whether etcd, Temporal and a worker answer, and where. It starts nothing; it ends with 5 where one of them does not answer.",
		Example: "  skyctl server status\n  skyctl server status -o json",
	}
	output := outputFlag(cmd, asTable, asWide, asJSON, asYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.settings()
		if err != nil {
			return err
		}
		state := serverState{External: cfg.External(), Parts: []serverPart{}}
		problem := a.ask(cmd.Context(), cfg, &state)
		if !cfg.External() {
			disk, full := lookAtDisk(cfg)
			state.Disk = disk
			if full != nil { // whatever else is wrong, is so because of this
				problem = &shownError{full}
			}
			state.SetAside = daemon.ReadSetAside(cfg)
		}
		if output.forMachines() {
			err = encode(a.env.Out, output.value, state)
		} else {
			_, err = fmt.Fprint(a.env.Out, state.text(a.env.Now()))
		}
		return errors.Join(err, problem)
	}
	return cmd
}

// ask fills in what answers; its error is the first thing that does not.
func (a *app) ask(ctx context.Context, cfg *config.Config, state *serverState) error {
	if !cfg.External() {
		own, err := daemon.Status(cfg)
		if err != nil {
			state.PID = own.PID
			return &shownError{&serverError{err}}
		}
		if err := a.compareServer(cfg, own); err != nil {
			return err
		}
		state.Differs = a.worker.differs
		own.Use(cfg)
		state.PID, state.Version, state.Started = own.PID, own.Version, own.Started
	}
	state.UI = cfg.UI.Address
	ops := operations.New(cfg, a.env.Now)
	defer ops.Close()
	var problem error
	state.Running = true
	for _, p := range ops.Health(ctx) {
		text := "answers"
		if p.Err != nil {
			text, state.Running = p.Problem(), false
			if problem == nil {
				problem = &shownError{p.Err}
			}
		}
		state.Parts = append(state.Parts, serverPart{Name: p.Name, Address: p.Where, State: text})
	}
	if len(state.Parts) > 0 && state.Parts[0].State == "answers" { // that is etcd
		if h, err := ops.Home(ctx); err == nil && h.Starts > 0 {
			state.Home = &h
		}
	}
	return problem
}

func (s serverState) text(now time.Time) string {
	if len(s.Parts) == 0 {
		text := "The server is not running.\n"
		if s.PID != 0 {
			text = fmt.Sprintf("The server is starting or stopping (process %d).\n", s.PID)
		}
		if s.Disk != nil && s.Disk.Problem != "" {
			text += "disk: " + clean(s.Disk.text()) + "\n"
		}
		return text
	}
	rows := [][]string{}
	for _, p := range s.Parts {
		rows = append(rows, []string{p.Name, p.Address, clean(p.State)})
	}
	if s.UI != "" {
		rows = append(rows, []string{"Web UI", s.UI})
	}
	if s.Disk != nil {
		rows = append(rows, []string{"disk", clean(s.Disk.Dir), clean(s.Disk.text())})
	}
	text := ""
	if s.PID != 0 {
		text = fmt.Sprintf("skyd %s, process %d, up for %s\n", s.Version, s.PID, span(now.Sub(s.Started)))
	}
	return text + strings.Join(columns(rows), "\n") + "\n" + s.notes()
}

// notes are what a person should know besides.
func (s serverState) notes() string {
	text := ""
	if s.Home != nil && s.Home.Doubt != nil {
		text += "\n" + clean((&operations.HomeDoubtError{Doubt: s.Home.Doubt}).Error()) + "\n"
	}
	for _, a := range s.SetAside {
		text += fmt.Sprintf("\nA Temporal database of another version (%s) was set aside on %s, and is kept in %s.\n",
			clean(a.Schema), a.At.UTC().Format(time.DateOnly), clean(a.Dir))
	}
	return text
}
