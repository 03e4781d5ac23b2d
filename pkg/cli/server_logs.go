package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
)

// defaultLogLines is how many lines server logs prints if neither --since nor --tail is given.
const defaultLogLines = 200

// logsOptions is one run of server logs, and what other logs have in common with it.
type logsOptions struct {
	*app
	follow bool
	since  durationValue
	tail   int
}

func (a *app) newServerLogsCommand() *cobra.Command {
	o := &logsOptions{app: a}
	cmd := &cobra.Command{
		Use: "logs", Short: "Print the server's log", Args: refuseArgs,
		Long: `Prints the log of the server on this computer: the journal of its systemd unit or, if the server runs in
the background, skyd.log in the state directory. Without --since it prints the last 200 lines.`,
		Example: "  skyctl server logs\n  skyctl server logs -f\n  skyctl server logs --since 2h\n" +
			"  skyctl server logs --tail 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), o.countLines(cmd))
		},
	}
	o.bindFlags(cmd)
	return cmd
}

func (o *logsOptions) bindFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "print new lines until Ctrl-C")
	cmd.Flags().Var(&o.since, "since", "print only lines that are at most this old, such as 90s, 30m or 2h")
	cmd.Flags().IntVar(&o.tail, "tail", defaultLogLines, "print at most this many of the last lines; 0: all")
}

// countLines is how many of the last lines are wanted; 0: all.
func (o *logsOptions) countLines(cmd *cobra.Command) int {
	if !cmd.Flags().Changed("tail") && cmd.Flags().Changed("since") {
		return 0
	}
	return o.tail
}

func (o *logsOptions) run(ctx context.Context, lines int) error {
	if o.tail < 0 {
		return usageErrorf("--tail is %d: it should be 0 (all lines) or more", o.tail)
	}
	cfg, err := o.loadSettingsWithNotes()
	if err != nil {
		return err
	}
	if cfg.IsExternal() {
		return usageErrorf("external servers are configured, Temporal (%s) and etcd (%s): their logs, and that of "+
			"skyd worker, are where they run", cfg.Temporal.Address, strings.Join(cfg.Etcd.Endpoints, ", "))
	}
	s, err := o.findService(cfg)
	if err != nil {
		return err
	}
	var since time.Time
	if o.since.value > 0 {
		since = o.env.Now().Add(-o.since.value)
	}
	if s != nil && s.HasJournal() {
		err = s.StreamJournal(ctx, service.JournalOptions{Follow: o.follow, Since: since, Lines: lines},
			terminal.WithoutRewrite(o.env.Out), terminal.WithoutRewrite(o.env.Err))
	} else {
		err = o.printFile(ctx, cfg, daemon.LogOptions{Follow: o.follow, Since: since, Lines: lines})
	}
	if o.follow && ctx.Err() != nil {
		return &interruptedError{}
	}
	return err
}

func (o *logsOptions) printFile(ctx context.Context, cfg *config.Config, options daemon.LogOptions) error {
	err := daemon.WriteLog(ctx, terminal.WithoutRewrite(o.env.Out), cfg.LogFile(), options)
	if errors.Is(err, fs.ErrNotExist) {
		return &codedError{err: fmt.Errorf("there is no log yet: %s does not exist, because no server was started in "+
			"the background", cfg.LogFile()), code: ExitNotFound}
	}
	return err
}
