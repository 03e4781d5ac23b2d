package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// versionReport is what version prints for programs.
type versionReport struct {
	Client build.Info `json:"client"`
	// Context is the name of the installation whose servers are meant; empty if a flag or a variable named its
	// directory.
	Context string `json:"context,omitempty"`
	// Servers are the skyd on this computer, or the workers of a team; empty if none runs.
	Servers []serverVersion `json:"servers,omitempty"`
	// Problem says why the servers are unknown.
	Problem string `json:"problem,omitempty"`
}

// serverVersion is a running skyd.
type serverVersion struct {
	Version string    `json:"version,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Host    string    `json:"host,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

func (a *app) newVersionCommand() *cobra.Command {
	clientOnly := false
	cmd := &cobra.Command{
		Use: "version", Short: "Print the versions of skyctl and of the running server", Args: refuseArgs,
		Long: `Prints the version of skyctl and that of the running skyd: the server on this computer, or the workers of
a team. It starts no server. If the versions differ, it says what to do.`,
		Example: "  skyctl version\n  skyctl version --client\n  skyctl version -o json",
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "print only the version of skyctl; contacts no server")
	output := addOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report := versionReport{Client: build.ReadBuild()}
		if clientOnly {
			return a.printVersions(output, report, "")
		}
		return a.runVersion(cmd.Context(), output, report)
	}
	return cmd
}

// runVersion adds the running servers. It works with invalid settings: the version may be what explains them.
func (a *app) runVersion(ctx context.Context, output *outputFlags, report versionReport) error {
	cfg, err := a.loadSettings()
	if err != nil {
		if cfg, err = a.findPaths(); err != nil {
			report.Problem = err.Error()
			return a.printVersions(output, report, "unknown: "+report.Problem)
		}
	}
	report.Context = a.choice.Context
	if cfg.IsExternal() {
		return a.runTeamVersion(ctx, cfg, output, report)
	}
	state, err := daemon.FindRunning(cfg)
	switch {
	case err == nil:
		report.Servers = []serverVersion{{Version: state.Version, PID: state.PID, Started: state.Started}}
	case errors.Is(err, daemon.ErrNotRunning):
		return a.printVersions(output, report, "not running")
	default:
		report.Problem = err.Error()
	}
	if err := a.printVersions(output, report, ""); err != nil || len(report.Servers) == 0 {
		return err
	}
	a.noteVersionSkew(newServerSkew(state))
	return nil
}

// runTeamVersion adds the workers of a team. Its error says that Temporal does not answer.
func (a *app) runTeamVersion(ctx context.Context, cfg *config.Config, output *outputFlags, report versionReport) error {
	ops := a.newClient(cfg)
	defer ops.Close()
	workers, problem := ops.ListWorkers(ctx)
	for _, w := range workers {
		report.Servers = append(report.Servers, serverVersion{Version: w.Version, PID: w.PID, Host: w.Host})
	}
	none := "no worker polls the task queue " + cfg.Temporal.TaskQueue
	if problem != nil {
		report.Problem, none = problem.Error(), ""
	}
	if err := a.printVersions(output, report, none); err != nil {
		return err
	}
	for _, w := range workers {
		a.noteVersionSkew(versionSkew{version: w.Version, where: "the team's worker on " + w.Host,
			remedy: "install that version there, and restart the worker"})
	}
	return problem
}

// printVersions prints a report. none is what a person reads where no server runs; empty: nothing is said.
func (a *app) printVersions(output *outputFlags, report versionReport, none string) error {
	if output.isStructured() {
		return output.write(a.env.Out, report)
	}
	text := fmt.Sprintf("skyctl %s\n", report.Client)
	for _, s := range report.Servers {
		if s.Version == "" {
			s.Version = "(version unknown)"
		}
		text += "skyd   " + s.Version
		if s.PID != 0 {
			text += fmt.Sprintf(", process %d", s.PID)
		}
		if s.Host != "" {
			text += " on " + s.Host
		}
		text += "\n"
	}
	if none != "" && len(report.Servers) == 0 {
		text += "skyd   " + none + "\n"
	}
	if where := a.describeContext(); where != "" {
		text += "of " + where + "\n"
	}
	return terminal.WritePage(a.env.Out, printable.Text(text))
}

// addVersionFlag adds --version. Cobra would give it the letter -v.
func addVersionFlag(root *cobra.Command) {
	root.Version = build.ReadBuild().String()
	root.SetVersionTemplate("skyctl {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version of skyctl; skyctl version prints that of skyd too")
}
