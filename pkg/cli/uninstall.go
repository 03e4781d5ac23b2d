package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// uninstallOptions is one run of uninstall.
type uninstallOptions struct {
	*app
	yes, keepLogs, force, dryRun bool
}

func (a *app) newUninstallCommand() *cobra.Command {
	o := &uninstallOptions{app: a}
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Remove the server and everything that skyctl keeps on this computer",
		Args: refuseArgs,
		Long: `Removes what skyctl keeps on this computer: the service, the state directory with its keys and snapshots,
SkyPilot's environment, the host image with its cache, the networks on the Docker engine, and the contexts
that name the state directory. It lists all of it and asks first. What other installations use, and files
that are not skyctl's, stay.

It refuses while clusters or orphaned machines exist: delete them first, because nobody could reach or
end them afterwards. It asks every cloud in use. If that is impossible, for example because the server does
not start, it refuses too; --force goes on.

The programs stay. With external servers only your files are removed; the team's clusters and the secrets
key stay.`,
		Example: "  skyctl uninstall --dry-run\n  skyctl uninstall --keep-logs\n  skyctl uninstall --yes",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&o.keepLogs, "keep-logs", false, "keep skyd's logs in the state directory")
	bindDryRun(cmd, &o.dryRun, "only list what would be removed")
	cmd.Flags().BoolVar(&o.force, "force", false,
		"go on if it is unknown whether machines exist; skyctl loses those that do, and they keep costing money")
	return cmd
}

func (o *uninstallOptions) run(ctx context.Context) error {
	if !o.yes && !o.dryRun && !terminal.IsTerminal(o.env.In) {
		return usageErrorf("uninstalling needs confirmation, and there is no terminal: use --yes")
	}
	cfg, err := o.loadSettingsWithNotes()
	if err != nil {
		return err
	}
	plan, err := o.planWithSpinner(ctx, cfg)
	if err != nil {
		return err
	}
	if len(plan.items()) == 0 {
		_, err := fmt.Fprintf(o.env.Out, "There is nothing to remove: %s does not exist, or has nothing of skyctl's.\n",
			cfg.Dir)
		return err
	}
	if o.dryRun {
		return terminal.WritePage(o.env.Out, plan.format())
	}
	if err := terminal.WritePage(o.env.Err, plan.format()); err != nil {
		return err
	}
	if !o.yes {
		if err := o.requireConfirmation(ctx, "Remove all of this?", "removed"); err != nil {
			return err
		}
		// The answer may have taken hours, in which somebody created a cluster.
		if plan, err = o.planWithSpinner(ctx, cfg); err != nil {
			return err
		}
	}
	if err := o.runWithSpinner("Uninstalling", false, func(*terminal.Spinner) error {
		return o.remove(ctx, cfg, plan)
	}); err != nil {
		return err
	}
	return o.sayWhatStays(plan)
}

// remove carries out a plan. The state directory and its contexts go last: until then the command can be run again.
func (o *uninstallOptions) remove(ctx context.Context, cfg *config.Config, plan *uninstallPlan) error {
	o.closeClient()
	o.ops = nil
	if plan.service != nil {
		if err := plan.service.Uninstall(ctx); err != nil {
			return &serverError{err}
		}
	}
	if err := daemon.Stop(ctx, cfg); err != nil {
		return &serverError{err}
	}
	if _, err := os.Stat(cfg.Dir); err == nil {
		lock, err := daemon.AcquireLock(cfg.LockFile()) // no other command starts a server meanwhile
		if err != nil {
			return &stateError{fmt.Errorf("the state directory is %w: run the command again", err)}
		}
		defer func() { _ = lock.Release() }()
	}
	if !cfg.IsExternal() {
		options := plan.belongingsOptions
		options.Remove = true
		if _, err := daemon.RunBelongings(ctx, cfg, plan.skyd, options); err != nil {
			return err
		}
	}
	if plan.belongingsOptions.Installation != "" {
		if err := (home.Ledger{Dir: cfg.LedgerDir}).RemoveHome(plan.belongingsOptions.Installation); err != nil {
			return err
		}
	}
	if err := o.removeState(cfg); err != nil {
		return err
	}
	// Last: without its context, the same command would be about another installation.
	if len(plan.contexts) == 0 {
		return nil
	}
	return o.contextsFile().DeleteContexts(ctx, plan.contexts...)
}

// removeState removes what is skyctl's in the state directory.
func (o *uninstallOptions) removeState(cfg *config.Config) error {
	// Listed again: the lock file, or a log that a start in between has written.
	content, err := daemon.ListStateDir(cfg, o.keepLogs, len(cfg.ForeignKeys) > 0)
	if err != nil {
		return err
	}
	return daemon.RemoveStateDir(cfg, content)
}

// sayWhatStays says how to remove the rest.
func (o *uninstallOptions) sayWhatStays(plan *uninstallPlan) error {
	text := "Removed skyctl's state and everything that it kept on this computer."
	if len(plan.kept) > 0 {
		text = "Removed what is listed above."
	}
	fmt.Fprintln(o.env.Out, text)
	if len(plan.contexts) > 0 {
		o.noteCurrentContext()
	}
	self, err := os.Executable()
	if err != nil {
		self = ""
	}
	_, err = fmt.Fprintln(o.env.Err, printable.Line(describeProgramRemoval(self, plan.skyd)))
	return err
}

// installedFiles lists what install.sh has installed, below its prefix.
const installedFiles = "share/skyctl/installed-files"

// installedDocs is the other directory that has nothing but its files.
const installedDocs = "share/doc/skyctl"

// describeProgramRemoval says how to remove the programs; both paths can be empty. install.sh keeps a list of what it
// has installed.
func describeProgramRemoval(skyctl, skyd string) string {
	programs := slices.DeleteFunc([]string{skyctl, skyd}, func(path string) bool { return path == "" })
	text := "The programs stay: " + joinList(programs) + "."
	prefix := filepath.Dir(filepath.Dir(skyctl))
	switch _, err := os.Stat(filepath.Join(prefix, installedFiles)); {
	case err == nil:
		dirs := filepath.Dir(installedFiles)
		if _, err := os.Stat(filepath.Join(prefix, installedDocs)); err == nil {
			dirs += " " + installedDocs
		}
		return fmt.Sprintf("%s To remove them: cd '%s' && xargs rm -f <%s && rmdir %s", text,
			strings.ReplaceAll(prefix, "'", `'\''`), installedFiles, dirs)
	case filepath.Dir(skyctl) == "/usr/bin":
		return text + " To remove them: apt remove skyctl, or dnf remove skyctl"
	}
	return text + " Remove them as they were installed."
}

// hasState reports whether a server has ever run on the state directory.
func hasState(cfg *config.Config) (bool, error) {
	for _, dir := range []string{cfg.ServerDir(), cfg.RestoreDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("looking for the server's data: %w", err)
		}
		if len(entries) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// isBelow reports whether a path is in a directory.
func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
