package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/server/backup"
)

// restoreOptions is one run of server restore.
type restoreOptions struct {
	*app
	force, adopt bool
	keyFile      string
}

func (a *app) newServerRestoreCommand() *cobra.Command {
	r := &restoreOptions{app: a}
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Restore the server's state from a backup",
		Args: requireFileName,
		Long: `Restores the state directory from a file of skyctl server backup. It asks for the recovery key without
showing it. It checks the whole file first, and changes nothing if something is wrong. A state that is
there already is replaced only with --force, and kept in a subdirectory.

The restored state is a copy: while the old computer may still run, two servers could act on the same
machines. Therefore the server changes no machine until the state is adopted. restore asks whether the old
server is gone; or use --adopt, or skyctl server adopt later.

The server resumes what was under way when the backup was made. Clusters that were created afterwards are
unknown to it: their machines keep running, and are listed as orphans.`,
		Example: "  skyctl server restore /mnt/usb/skyctl.backup\n" +
			"  skyctl server restore /mnt/usb/skyctl.backup --recovery-key-file /mnt/key/skyctl.key --adopt",
		ValidArgsFunction: completeFiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVar(&r.force, "force", false, "replace the state that is there, and keep it in a subdirectory")
	cmd.Flags().BoolVar(&r.adopt, "adopt", false, "the old server is gone: start the server and adopt the state")
	cmd.Flags().StringVar(&r.keyFile, "recovery-key-file", "", "file with the recovery key; it is asked for if unset")
	registerCompletion(cmd, "recovery-key-file", completeFiles)
	return cmd
}

func (r *restoreOptions) run(ctx context.Context, file string) error {
	cfg, err := r.findStateDir()
	if err != nil {
		return err
	}
	if err := backup.CheckFile(file); err != nil {
		return err
	}
	if err := backup.CheckRestoreDir(cfg, r.force); err != nil {
		return err
	}
	key, err := r.readKey(ctx)
	if err != nil {
		return err
	}
	done, err := backup.Restore(backup.RestoreOptions{Config: cfg, File: file, Key: key, Force: r.force,
		Build: thisBuild(), Now: r.env.Now})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.env.Out, "Restored %s from the backup of %s on %s, made on %s: %s and %s.\n", cfg.Dir,
		printable.Line(done.Dir), printable.Line(done.Hostname), render.FormatMoment(r.env.Now(), done.TakenAt),
		render.FormatCount(done.Clusters, "cluster"), render.FormatCount(done.Machines, "machine"))
	if done.KeptIn != "" {
		fmt.Fprintf(r.env.Err, "The former state is kept in %s.\n", done.KeptIn)
	}
	if settings, err := r.readSettings(); err == nil && done.ClusterSnapshots() > 0 {
		fmt.Fprint(r.env.Err, describeSnapshotMove(settings))
	}
	return r.finish(ctx, cfg)
}

// describeSnapshotMove says what to do with the snapshots of clusters that a restore has laid down, if the settings
// keep them elsewhere; else it is empty.
func describeSnapshotMove(settings *config.Config) string {
	laidDown := filepath.Join(settings.Dir, "snapshots")
	if settings.Snapshots.Dir == laidDown {
		return ""
	}
	return fmt.Sprintf("The snapshots of clusters are in %s, and the setting snapshots.dir is %s: move the files "+
		"there before you start the server.\n", laidDown, settings.Snapshots.Dir)
}

// findStateDir returns the paths of the state directory. Its settings are about to be replaced, so they may be invalid.
func (r *restoreOptions) findStateDir() (*config.Config, error) {
	if cfg, err := r.readSettings(); err == nil && cfg.IsExternal() {
		return nil, usageErrorf("external servers are configured, and a backup is restored into a state directory of " +
			"its own: unset them, or choose another directory with $SKYCONF_DIR")
	}
	cfg, err := r.findPaths()
	if err != nil {
		return nil, &usageError{err}
	}
	return cfg, nil
}

func (r *restoreOptions) readKey(ctx context.Context) (backup.RecoveryKey, error) {
	if r.keyFile != "" {
		key, err := backup.ReadRecoveryKey(r.keyFile)
		if err != nil {
			return key, &usageError{err}
		}
		return key, nil
	}
	if !terminal.IsTerminal(r.env.In) {
		return backup.RecoveryKey{}, usageErrorf("a restore needs the recovery key, and there is no terminal to ask " +
			"for it: use --recovery-key-file")
	}
	fmt.Fprint(r.env.Err, "Recovery key (it is not shown): ")
	text, err := terminal.ReadHidden(ctx, r.env.In)
	fmt.Fprintln(r.env.Err)
	switch {
	case ctx.Err() != nil:
		return backup.RecoveryKey{}, &interruptedError{hint: "Nothing was restored."}
	case err != nil && !errors.Is(err, io.EOF):
		return backup.RecoveryKey{}, err
	}
	key, err := backup.ParseRecoveryKey(text)
	if err != nil {
		return key, usageErrorf("the input is %w", err)
	}
	return key, nil
}

// finish adopts the restored state, or says how to.
func (r *restoreOptions) finish(ctx context.Context, paths *config.Config) error {
	r.cfg = nil // config.yaml was replaced
	cfg, err := r.loadSettingsWithNotes()
	if err != nil {
		return fmt.Errorf("the state is restored, but its settings are invalid here: %w", err)
	}
	if key := paths.Dir + "/secrets.key"; cfg.SecretsKeyFile != key {
		fmt.Fprintf(r.env.Err, "The secrets key of the backup is in %s, and the settings name %s: move it there, or "+
			"change "+
			"secretsKeyFile in %s.\n", key, cfg.SecretsKeyFile, cfg.ConfigFile())
		return nil
	}
	adopt := r.adopt
	if !adopt && terminal.IsTerminal(r.env.In) {
		err := r.requireConfirmation(ctx, "Two servers must never act on the same machines. Is the old computer "+
			"gone, or "+
			"its server stopped for good? Adopt the state now?", "adopted")
		if exitCode(err) == ExitInterrupted {
			return err
		}
		adopt = err == nil
	}
	if adopt {
		return (&adoptOptions{app: r.app, yes: true}).run(ctx)
	}
	fmt.Fprintln(r.env.Err, "The server changes no machine of this state until you adopt it. When the old server is "+
		"gone: "+
		"skyctl server adopt")
	return nil
}
