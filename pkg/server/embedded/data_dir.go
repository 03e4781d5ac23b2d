package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
)

// dataDir holds the data of skyd dev: Temporal's database, etcd's directory, and the version of the database's schema.
type dataDir struct {
	dir string
	// restoreDir holds a restored backup from which the data are to be created, if it exists.
	restoreDir string
}

func (d dataDir) databasePath() string      { return filepath.Join(d.dir, "temporal.db") }
func (d dataDir) etcdDir() string           { return filepath.Join(d.dir, "etcd") }
func (d dataDir) schemaVersionPath() string { return filepath.Join(d.dir, "version.json") }

// unfinishedMarkPath exists from before the first byte of data until the servers have answered for the first time. No
// cluster can be stored while it exists, so an interrupted creation is discarded and started again.
func (d dataDir) unfinishedMarkPath() string { return filepath.Join(d.dir, "unfinished") }

// prepareDataDir creates the data directory, or prepares an existing one for this version of the program.
func prepareDataDir(ctx context.Context, c *config.Config, log *slog.Logger) (dataDir, error) {
	d := dataDir{dir: c.ServerDir(), restoreDir: c.RestoreDir()}
	if err := config.MakeDir(d.dir); err != nil {
		return d, err
	}
	if err := os.Chmod(d.dir, 0o700); err != nil {
		return d, fmt.Errorf("restricting the data directory to this user: %w", err)
	}
	if err := d.discardUnfinished(); err != nil {
		return d, fmt.Errorf("removing what an unfinished start left in %s: %w", d.dir, err)
	}
	want, err := currentSchema()
	if err != nil {
		return d, err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return d, fmt.Errorf("reading the data directory: %w", err)
	}
	restores, err := d.hasPendingRestore(len(entries) > 0)
	if err != nil {
		return d, err
	}
	if len(entries) > 0 {
		return d, d.openExistingData(ctx, want, log)
	}
	if !restores {
		if err := refuseLostData(c); err != nil {
			return d, err
		}
	}
	if err := d.createUnfinished(ctx, want, restores); err != nil {
		return d, fmt.Errorf("creating the database in %s: %w", d.dir, err)
	}
	return d, nil
}

func (d dataDir) discardUnfinished() error {
	// The mark is first written under a temporary name; an interrupted write leaves only that file.
	temporary, err := filepath.Glob(filepath.Join(d.dir, "."+filepath.Base(d.unfinishedMarkPath())+"-*"))
	if err != nil {
		return err
	}
	for _, name := range temporary {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	if _, err := os.Stat(d.unfinishedMarkPath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(d.dir, e.Name())
		if name == d.unfinishedMarkPath() {
			continue
		}
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return os.Remove(d.unfinishedMarkPath()) // last, or a second kill would leave a directory that looks finished
}

func (d dataDir) markFinished() error {
	if err := os.Remove(d.unfinishedMarkPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("marking the data as complete: %w", err)
	}
	if err := atomicfile.SyncDir(d.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(d.restoreDir); err != nil {
		return fmt.Errorf("removing the restored backup, whose data are in place: %w", err)
	}
	return nil
}

// createUnfinished creates the data: from a restored backup if restores is set, else empty.
func (d dataDir) createUnfinished(ctx context.Context, s schemaVersion, restores bool) error {
	if err := atomicfile.Write(d.unfinishedMarkPath(), nil); err != nil {
		return err
	}
	if restores {
		if err := d.restoreBackup(); err != nil {
			return fmt.Errorf("restoring the backup in %s: %w", d.restoreDir, err)
		}
	}
	return d.createDatabase(ctx, s)
}

// refuseLostData refuses to create an empty database if the rest of the state directory has files of clusters, because
// their records are then missing.
func refuseLostData(c *config.Config) error {
	left, err := os.ReadDir(c.ClustersDir())
	if err != nil || len(left) == 0 {
		return nil //nolint:nilerr // there are none
	}
	if _, err := os.Stat(c.SecretsKeyFile); err != nil {
		return nil //nolint:nilerr // no server has ever run here
	}
	return fmt.Errorf("%s, which holds the clusters, is missing, but %s has files of clusters (%s): restore it from a "+
		"backup. To start empty, move %s away; machines of the lost clusters keep costing money",
		c.ServerDir(), c.ClustersDir(), left[0].Name(), c.ClustersDir())
}
