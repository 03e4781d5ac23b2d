package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/backup"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/version"
)

// backupOptions is one run of server backup.
type backupOptions struct {
	*app
	force, newKey      bool
	withSnapshots      bool
	keyFile, recipient string
}

func (a *app) newServerBackupCommand() *cobra.Command {
	b := &backupOptions{app: a}
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Write the server's state into a file that is sealed to a recovery key",
		Args: requireFileName,
		Long: `Writes the state of the server on this computer into one file: a snapshot of etcd with all clusters,
secrets.key and config.yaml. The server keeps working meanwhile. Copy the file to another computer: with
it and the recovery key, skyctl server restore takes everything over on an empty one.

With --with-snapshots the file also holds the newest snapshot of each cluster that the server keeps on
this computer, so that clusters can be restored there although their machines are gone. The keys of all
snapshots are in the file in any case: those in S3 storage need nothing else.

The file is sealed with age to a recovery key. The first backup makes the key and shows it once, on the
terminal; without a terminal use --recovery-key-file, or --recipient for a key of your own. The server
keeps only the public part, so later backups need no secret. Without the recovery key nobody can open the
file: keep the key apart from it.

The file does not hold Temporal's database, SkyPilot's files, credentials of clouds, and the data in your
clusters.`,
		Example: "  skyctl server backup /mnt/usb/skyctl.backup\n" +
			"  skyctl server backup /mnt/usb/skyctl.backup --force                       # replace the file\n" +
			"  skyctl server backup /mnt/usb/skyctl.backup --with-snapshots\n" +
			"  skyctl server backup first.backup --recovery-key-file /mnt/key/skyctl.key # without a terminal\n" +
			"  skyctl server backup /mnt/usb/skyctl.backup --new-recovery-key            # the old key is lost",
		ValidArgsFunction: completeFiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return b.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVar(&b.force, "force", false, "replace the file if it exists")
	cmd.Flags().BoolVar(&b.withSnapshots, "with-snapshots", false,
		"add the newest snapshot of each cluster that is kept on this computer")
	cmd.Flags().StringVar(&b.keyFile, "recovery-key-file", "",
		"write a new recovery key to this file (0600) instead of the terminal")
	registerCompletion(cmd, "recovery-key-file", completeFiles)
	cmd.Flags().StringVar(&b.recipient, "recipient", "",
		"seal this and later backups to this age recipient (age1…), whose key you have")
	cmd.Flags().BoolVar(&b.newKey, "new-recovery-key", false,
		"make a new recovery key for this and later backups; earlier ones need the earlier key")
	return cmd
}

func (b *backupOptions) run(ctx context.Context, file string) error {
	cfg, err := b.loadSettingsWithNotes()
	if err != nil {
		return err
	}
	if err := b.checkFlags(cfg); err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	ops, err := b.connectClient(ctx)
	if err != nil {
		return err
	}
	st, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	o := backup.CreateOptions{Config: cfg, Store: st, File: file, Force: b.force, Now: b.env.Now, Build: thisBuild(),
		WithSnapshots: b.withSnapshots}
	if err := backup.CheckCreate(ctx, o); err != nil {
		return err
	}
	if o.Recipient, err = b.chooseRecipient(ctx, st); err != nil {
		return err
	}
	return b.create(ctx, o)
}

func (b *backupOptions) create(ctx context.Context, o backup.CreateOptions) error {
	var m backup.Manifest
	err := b.runWithSpinner("Writing the backup", !terminal.IsTerminal(b.env.Err), func(*terminal.Spinner) (err error) {
		m, err = backup.Create(ctx, o)
		return err
	})
	if err != nil {
		return err
	}
	err = o.Store.UpdateBackupRecord(ctx, func(r *store.BackupRecord) error {
		r.TakenAt, r.File = m.TakenAt, o.File
		return nil
	})
	added := ""
	if o.WithSnapshots {
		added = ", with " + render.FormatCount(m.ClusterSnapshots(), "snapshot")
	}
	fmt.Fprintf(b.env.Out, "Wrote %s: %s and %s, as of revision %d of etcd%s. Sealed to %s\n", o.File,
		render.FormatCount(m.Clusters, "cluster"), render.FormatCount(m.Machines, "machine"), m.Revision, added,
		o.Recipient)
	if err != nil {
		return fmt.Errorf("the backup is complete, but the server does not know of it: %w", err)
	}
	return nil
}

// checkFlags finds what is wrong before a server is started.
func (b *backupOptions) checkFlags(cfg *config.Config) error {
	switch {
	case cfg.IsExternal():
		return usageErrorf("external servers are configured, so their state is not on this computer: back up etcd " +
			"with etcdctl snapshot save, and keep a copy of secrets.key; see docs/team.md")
	case b.recipient != "" && (b.keyFile != "" || b.newKey):
		return usageErrorf("--recipient names a key that exists; --recovery-key-file and --new-recovery-key make a " +
			"new one: use one of them")
	case b.recipient != "":
		if err := backup.CheckRecipient(b.recipient); err != nil {
			return usageErrorf("--recipient %q is %w", b.recipient, err)
		}
	}
	return nil
}

// chooseRecipient returns what the backup is sealed to, and records it in the state. A new key is shown, or written to
// its file, before anything is sealed to it.
func (b *backupOptions) chooseRecipient(ctx context.Context, st *store.Store) (string, error) {
	known, err := st.ReadBackupRecord(ctx)
	if err != nil {
		return "", err
	}
	recipient := b.recipient
	switch {
	case recipient != "":
	case known.Recipient != "" && !b.newKey:
		if b.keyFile != "" {
			return "", &stateError{fmt.Errorf("backups are sealed to the recovery key of %s already: omit "+
				"--recovery-key-file, or make another key with --new-recovery-key", known.Recipient)}
		}
		return known.Recipient, nil
	default:
		if recipient, err = b.makeKey(); err != nil {
			return "", err
		}
	}
	err = st.UpdateBackupRecord(ctx, func(r *store.BackupRecord) error {
		if r.Recipient != known.Recipient {
			return &stateError{errors.New("another backup has made a recovery key meanwhile: run the command again")}
		}
		r.Recipient = recipient
		return nil
	})
	return recipient, err
}

// makeKey makes a recovery key and hands it to the user.
func (b *backupOptions) makeKey() (string, error) {
	if b.keyFile == "" && !terminal.IsTerminal(b.env.Err) {
		return "", usageErrorf("this backup makes a recovery key, and there is no terminal to show it on: use " +
			"--recovery-key-file PATH, or --recipient age1… for a key of your own")
	}
	key, err := backup.NewRecoveryKey()
	if err != nil {
		return "", err
	}
	if b.keyFile == "" {
		fmt.Fprintf(b.env.Err, "Recovery key, shown only now. Write it down, and keep it apart from the backup:\n\n "+
			" %s\n\n",
			key.Secret())
		return key.Recipient(), nil
	}
	err = key.WriteFile(b.keyFile, b.env.Now())
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", usageErrorf("--recovery-key-file %s exists, and a key is never overwritten: choose another name",
			b.keyFile)
	case err != nil:
		return "", usageErrorf("writing the recovery key: %w", err)
	}
	fmt.Fprintf(b.env.Err, "Wrote the recovery key to %s. Keep it apart from the backup.\n", b.keyFile)
	return key.Recipient(), nil
}

func thisBuild() backup.Build {
	return backup.Build{Version: version.ReadBuild().Version, Level: api.WorkerLevel}
}

// readBackupRecord returns nil if the record cannot be read.
func readBackupRecord(ctx context.Context, ops *client.Client) *store.BackupRecord {
	st, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil
	}
	r, err := st.ReadBackupRecord(ctx)
	if err != nil {
		return nil
	}
	return &r
}
