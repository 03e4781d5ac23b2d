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
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newServerCommand() *cobra.Command {
	return newCommandGroup("server", "Start, stop or inspect the server on this computer",
		`The server is skyd: Temporal with its Web UI, etcd and the worker in one process. Its data is in
~/.skyconf. If no servers are configured, any command that needs the server starts it in the background;
skyctl server install starts it with the computer instead. Operations are durable: you can stop or kill
the server at any time, and they resume when it starts again.`,
		"  skyctl server status\n  skyctl server install\n  skyctl server logs -f\n  skyctl server restart\n  "+
			"skyctl server upgrade\n  skyctl server stop\n  skyctl server adopt\n  skyctl server backup "+
			"/mnt/usb/skyctl.backup",
		a.newServerStartCommand(),
		&cobra.Command{
			Use: "stop", Short: "Stop the server", Args: refuseArgs,
			Long: "Stops the server. Running operations resume when it starts again; clusters and their " +
				"machines stay as they are. A service (skyctl server install) starts again at the next boot.",
			Example: "  skyctl server stop",
			RunE:    func(cmd *cobra.Command, _ []string) error { return a.runServerStop(cmd.Context()) },
		},
		a.newServerRestartCommand(), a.newServerUpgradeCommand(), a.newServerStatusCommand(), a.newServerLogsCommand(),
		a.newServerInstallCommand(), a.newServerUninstallCommand(), a.newServerAdoptCommand(),
		a.newServerBackupCommand(),
		a.newServerRestoreCommand())
}

func (a *app) newServerStartCommand() *cobra.Command {
	newKey := false
	cmd := &cobra.Command{
		Use: "start", Short: "Start the server in the background", Args: refuseArgs,
		Long: `Starts the server in the background and returns once it is ready. If the server is already running,
it does nothing.

The server does not start if secrets.key is missing, or if the secrets in etcd are encrypted with
another key. Restore the key from your backup. If the key is permanently lost, use
--new-secrets-key: it creates a new key and renames the old file. The encrypted SSH keys, tokens
and kubeconfigs of all clusters are then lost, and skyctl can only delete these clusters.`,
		Example: "  skyctl server start",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runServerStart(cmd.Context(), newKey) },
	}
	cmd.Flags().BoolVar(&newKey, "new-secrets-key", false,
		"create a new secrets key and give up all secrets that were encrypted with the lost one")
	return cmd
}

// requireLocalServer returns the settings, and fails if external servers are configured.
func (a *app) requireLocalServer() (*config.Config, error) {
	cfg, err := a.loadSettingsWithNotes()
	if err == nil && cfg.IsExternal() {
		err = a.newExternalServersError(cfg)
	}
	return cfg, err
}

func (a *app) newExternalServersError(cfg *config.Config) error {
	return usageErrorf("external servers are configured, Temporal (%s) and etcd (%s): there is no local server to "+
		"start or stop",
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
		if _, err = fmt.Fprintf(a.env.Out, "The server is already running (process %d). Web UI: %s\n", state.PID,
			state.UIAddress); err != nil {
			return err
		}
		a.noteVersionSkew(newServerSkew(state))
		return a.checkServerCompatibility(cfg, state)
	}
	if err := requireDiskToStart(cfg); err != nil {
		return err
	}
	return a.runWithSpinner("Starting server", false, func(s *terminal.Spinner) error {
		state, service, err := a.launchSkyd(ctx, cfg)
		if err != nil {
			return &serverError{err}
		}
		s.KeepLine()
		a.printPortNote(state)
		_, err = fmt.Fprintf(a.env.Out, "The server is running (%s). Web UI: %s\n", describeSkyd(state, service),
			state.UIAddress)
		return err
	})
}

// runServerStop stops the server of the state directory even if the settings are invalid or name external servers: it
// may have been started before they were changed.
func (a *app) runServerStop(ctx context.Context) error {
	cfg, wrong := a.loadSettingsWithNotes()
	if wrong != nil {
		var err error
		if cfg, err = a.findPaths(); err != nil {
			return &usageError{err}
		}
	}
	_, err := daemon.FindRunning(cfg)
	runs := !errors.Is(err, daemon.ErrNotRunning)
	service, serviceErr := a.findService(cfg)
	if serviceErr == nil && service != nil && !runs { // it may be waiting to start skyd again
		runs = service.IsStarting(ctx)
	}
	if wrong != nil {
		a.printNote(fmt.Sprintf("the settings are invalid, but not needed to stop the server of %s: %v", cfg.Dir,
			wrong))
	}
	switch {
	case !runs && wrong == nil && cfg.IsExternal():
		return a.newExternalServersError(cfg)
	case !runs:
		_, err = fmt.Fprintln(a.env.Out, "The server is not running.")
		return err
	}
	return a.runWithSpinner("Stopping server", false, func(s *terminal.Spinner) error {
		if err := errors.Join(serviceErr, a.stopSkyd(ctx, cfg, service)); err != nil {
			return &serverError{err}
		}
		s.KeepLine()
		text := "The server is stopped."
		if service != nil {
			text += " It is the " + service.Describe() + ", and starts again when the computer does."
		}
		_, err := fmt.Fprintln(a.env.Out, text)
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
	// Differs are the settings of this command that the server does not use.
	Differs []config.SettingDifference `json:"differs,omitempty"`
	// Disk is the disk of the state directory, Home the record of the installation's home.
	Disk *diskState `json:"disk,omitempty"`
	Home *api.Home  `json:"home,omitempty"`
	// Backup is the last backup of the server on this computer.
	Backup *store.BackupRecord `json:"backup,omitempty"`
	// Service is the service that runs skyd from boot on; empty if none is installed.
	Service string `json:"service,omitempty"`
	// SetAside are Temporal databases that another version wrote; they are kept.
	SetAside []daemon.SetAsideDatabase `json:"set_aside,omitempty"`
}

func (a *app) newServerStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show whether the servers answer, and where", Args: refuseArgs,
		Long: "Shows whether etcd, Temporal and the worker answer, and where. It starts no server. It exits " +
			"with 5 if one of them does not answer.",
		Example: "  skyctl server status\n  skyctl server status -o json",
	}
	output := addOutputFlags(cmd)
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
			if full != nil { // the full disk causes the other problems
				problem = &reportedError{full}
			}
			state.SetAside = daemon.ReadSetAsideDatabases(cfg)
			if service, err := a.findService(cfg); err == nil && service != nil {
				state.Service = service.Describe()
			}
		}
		if output.isStructured() {
			err = output.write(a.env.Out, state)
		} else {
			err = terminal.WritePage(a.env.Out, state.toPage().RenderPage(a.env.Now()))
		}
		return errors.Join(err, problem)
	}
	return cmd
}

// readServerState fills in the parts; its error is that of the first part that does not answer.
func (a *app) readServerState(ctx context.Context, cfg *config.Config, state *serverState) error {
	if !cfg.IsExternal() {
		own, err := daemon.FindRunning(cfg)
		if err != nil {
			state.PID = own.PID
			return &reportedError{&serverError{err}}
		}
		a.noteVersionSkew(newServerSkew(own))
		if err := a.checkServerCompatibility(cfg, own); err != nil {
			return err
		}
		state.Differs = a.worker.differs
		own.ApplyTo(cfg)
		state.PID, state.Version, state.Started = own.PID, own.Version, own.Started
	}
	state.UI = cfg.UI.Address
	ops := a.newClient(cfg)
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
		if !cfg.IsExternal() {
			state.Backup = readBackupRecord(ctx, ops)
		}
	}
	return problem
}

func (s serverState) toPage() render.ServerPage {
	p := render.ServerPage{Version: s.Version, PID: s.PID, Started: s.Started, UI: s.UI, Parts: s.Parts,
		Service: s.Service}
	if s.Disk != nil {
		p.Disk = &render.DiskLine{Dir: s.Disk.Dir, Text: s.Disk.formatSpace(), HasProblem: s.Disk.Problem != ""}
	}
	if s.Backup != nil {
		p.Backup = &render.BackupLine{TakenAt: s.Backup.TakenAt, File: s.Backup.File}
	}
	if s.Home != nil && s.Home.Doubt != nil {
		p.Doubt = (&client.HomeDoubtError{Doubt: s.Home.Doubt}).Error()
	}
	for _, a := range s.SetAside {
		p.SetAside = append(p.SetAside, render.SetAsideDatabase{Schema: a.Schema, Dir: a.Dir, At: a.At})
	}
	return p
}
