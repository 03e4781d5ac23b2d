// Command skyd runs the operations on clusters. skyd dev also runs Temporal and etcd in the same process; skyd worker
// uses an external Temporal and etcd.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/version"
	"github.com/sky-shift/skyctl/worker"
)

// gcPercent is the default of GOGC. A sweep reads megabytes of short-lived data; with Go's default of 100 they make up
// a third of the resident memory.
const gcPercent = 50

func main() {
	// Only this user may read what skyd creates in the state directory.
	syscall.Umask(0o077)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills the process
	if err := newRootCommand(os.Getenv, os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "skyd:", redact.Text(err.Error()))
		os.Exit(1)
	}
}

// warnUnknownSettings logs settings that skyctl does not know.
func warnUnknownSettings(cfg *config.Config, log *slog.Logger) {
	for _, text := range append(append(config.UnknownVariableNotes(os.Environ()), cfg.IgnoredSettingNotes()...),
		cfg.ForeignNote()) {
		if text != "" {
			log.Warn(text)
		}
	}
}

// newRootCommand returns the command skyd. env looks up a variable of its environment.
func newRootCommand(env func(string) string, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "skyd",
		Short:         "Run the operations on clusters",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	config.BindFlags(root.PersistentFlags())
	level := root.PersistentFlags().String("log-level", "info",
		"least level that is logged: debug, info, warn or error")
	load := func(cmd *cobra.Command) (*config.Config, *slog.Logger, error) {
		logger, err := newLogger(stderr, *level)
		if err != nil {
			return nil, nil, err
		}
		cfg, err := config.Load(cmd.Flags(), env)
		if err == nil {
			warnUnknownSettings(cfg, logger)
		}
		return cfg, logger, err
	}
	root.AddCommand(newDevCommand(load), newWorkerCommand(load), newVersionCommand(stdout),
		newTeamCommand(load, stdout, stderr), newBelongingsCommand(load, stdout),
		newHostImageCommand(load, stdout), newInstallSkyPilotCommand(load, stdout, stderr))
	return root
}

// settingsLoader reads the settings of a command and creates its log.
type settingsLoader func(*cobra.Command) (*config.Config, *slog.Logger, error)

// runWithNewKeyFlag gives a command the flag --new-secrets-key, and runs it with its settings.
func runWithNewKeyFlag(c *cobra.Command, load settingsLoader,
	run func(context.Context, *config.Config, *slog.Logger) error) *cobra.Command {
	newKey := c.Flags().Bool("new-secrets-key", false,
		"create a new secrets key if the one in use is lost, and give up the secrets that it encrypted")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, logger, err := load(cmd)
		if err != nil {
			return err
		}
		cfg.NewSecretsKey = *newKey
		return run(cmd.Context(), cfg, logger)
	}
	return c
}

func newDevCommand(load settingsLoader) *cobra.Command {
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run Temporal, its Web UI, etcd and the worker in one process",
		Long: "Run Temporal, its Web UI, etcd and the worker in one process, on this computer's loopback.\n" +
			"The state directory holds all data; you can kill the process at any time and start it again.",
		Example: "  skyd dev\n  SKYCONF_DIR=~/.skyconf-try skyd dev --dev-ui-port 9000",
		Args:    cobra.NoArgs,
	}
	config.BindDevFlags(c.Flags())
	return runWithNewKeyFlag(c, load, runDev)
}

func newWorkerCommand(load settingsLoader) *cobra.Command {
	return runWithNewKeyFlag(&cobra.Command{
		Use:   "worker",
		Short: "Run only the worker, with an external Temporal and etcd",
		Example: "  skyd worker --temporal-address temporal.example.com:7233 --etcd-endpoints " +
			"https://etcd.example.com:2379",
		Args: cobra.NoArgs,
	}, load, func(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
		if !cfg.IsExternal() {
			return fmt.Errorf("skyd worker needs an external Temporal and etcd: set %s, and %s; or run skyd dev",
				cfg.HowToSet("temporal.address"), cfg.HowToSet("etcd.endpoints"))
		}
		return worker.Run(ctx, cfg, log)
	})
}

func newVersionCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(stdout, "skyd", version.ReadBuild())
			return err
		},
	}
}
