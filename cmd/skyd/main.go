// Command skyd does the work: it carries out the operations on clusters. skyd dev also runs Temporal and etcd in the
// same process; skyd worker uses an external Temporal and etcd.
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

// runWorker carries out operations until the context ends, and then finishes what it can.
var runWorker = worker.Run

// gcPercent is how much garbage may pile up beside what is in use, in percent, unless GOGC says otherwise. A sweep
// reads megabytes that are of no use a moment later: with Go's own 100 they make up a third of what is resident, for
// little time.
const gcPercent = 50

func main() {
	// Whatever is created below the state directory is this person's alone.
	syscall.Umask(0o077)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := newRootCommand(os.Getenv, os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "skyd:", redact.Text(err.Error()))
		os.Exit(1)
	}
}

// warnUnknownSettings logs what was given as a setting and is none.
func warnUnknownSettings(cfg *config.Config, log *slog.Logger) {
	for _, text := range append(append(config.UnknownVariableNotes(os.Environ()), cfg.IgnoredSettingNotes()...),
		cfg.ForeignNote()) {
		if text != "" {
			log.Warn(text)
		}
	}
}

func newRootCommand(env func(string) string, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:           "skyd",
		Short:         "Carry out operations on clusters",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	config.BindFlags(root.PersistentFlags())
	level := root.PersistentFlags().String("log-level", "info",
		"least level that is logged: debug, info, warn or error")
	newKey := false
	// load is what the commands have in common: settings and a log.
	load := func(cmd *cobra.Command) (*config.Config, *slog.Logger, error) {
		logger, err := newLogger(stderr, *level)
		if err != nil {
			return nil, nil, err
		}
		cfg, err := config.Load(cmd.Flags(), env)
		if err == nil {
			warnUnknownSettings(cfg, logger)
			cfg.NewSecretsKey = newKey
		}
		return cfg, logger, err
	}
	dev := &cobra.Command{
		Use:   "dev",
		Short: "Run Temporal, its Web UI, etcd and the worker in one process",
		Long: "Run Temporal, its Web UI, etcd and the worker in one process, on this machine's loopback.\n" +
			"All data is kept in the state directory; the process can be killed at any instant and started again.",
		Example: "  skyd dev\n  SKYCONF_DIR=~/.skyconf-try skyd dev --dev-ui-port 9000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, logger, err := load(cmd)
			if err != nil {
				return err
			}
			return runDev(cmd.Context(), cfg, logger)
		},
	}
	config.BindDevFlags(dev.Flags())
	bindNewKey := func(c *cobra.Command) *cobra.Command {
		c.Flags().BoolVar(&newKey, "new-secrets-key", false,
			"make a new secrets key where the one in use is lost, and give up what it sealed")
		return c
	}
	root.AddCommand(bindNewKey(dev), bindNewKey(&cobra.Command{
		Use:   "worker",
		Short: "Run the worker alone, with an external Temporal and etcd",
		Example: "  skyd worker --temporal-address temporal.example.com:7233 --etcd-endpoints " +
			"https://etcd.example.com:2379",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, logger, err := load(cmd)
			if err != nil {
				return err
			}
			if !cfg.IsExternal() {
				return fmt.Errorf("skyd worker needs an external Temporal and etcd: set %s, and %s; or run skyd dev",
					cfg.HowToSet("temporal.address"), cfg.HowToSet("etcd.endpoints"))
			}
			return runWorker(cmd.Context(), cfg, logger)
		},
	}), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(stdout, "skyd", version.ReadBuild())
			return err
		},
	})
	root.AddCommand(newTeamCommand(load, stdout, stderr))
	return root
}
