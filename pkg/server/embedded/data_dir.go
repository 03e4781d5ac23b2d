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
}

func (d dataDir) databasePath() string      { return filepath.Join(d.dir, "temporal.db") }
func (d dataDir) etcdDir() string           { return filepath.Join(d.dir, "etcd") }
func (d dataDir) schemaVersionPath() string { return filepath.Join(d.dir, "version.json") }

// unfinishedMarkPath exists from before the first byte of data until the servers have answered for the first time.
// Nothing can be stored while it exists, so an interrupted creation is discarded and started again.
func (d dataDir) unfinishedMarkPath() string { return filepath.Join(d.dir, "unfinished") }

// prepareDataDir creates the data directory, or prepares an existing one for this version of the program.
func prepareDataDir(ctx context.Context, c *config.Config, log *slog.Logger) (dataDir, error) {
	d := dataDir{dir: c.ServerDir()}
	if err := config.MakeDir(d.dir); err != nil {
		return d, err
	}
	if err := os.Chmod(d.dir, 0o700); err != nil {
		return d, fmt.Errorf("keeping the data to this person: %w", err)
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
		return d, fmt.Errorf("looking for data: %w", err)
	}
	if len(entries) > 0 {
		return d, d.openExistingData(ctx, want, log)
	}
	if err := refuseLostData(c); err != nil {
		return d, err
	}
	if err := d.createUnfinished(ctx, want); err != nil {
		return d, fmt.Errorf("creating the database in %s: %w", d.dir, err)
	}
	return d, nil
}

func (d dataDir) discardUnfinished() error {
	// The mark itself is written under another name first: cut short there, that is all there is.
	begun, err := filepath.Glob(filepath.Join(d.dir, "."+filepath.Base(d.unfinishedMarkPath())+"-*"))
	if err != nil {
		return err
	}
	for _, name := range begun {
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
	return os.Remove(d.unfinishedMarkPath()) // the last, or a second kill would leave a directory that looks finished
}

func (d dataDir) markFinished() error {
	if err := os.Remove(d.unfinishedMarkPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("marking the data as complete: %w", err)
	}
	return atomicfile.SyncDir(d.dir)
}

func (d dataDir) createUnfinished(ctx context.Context, s schemaVersion) error {
	if err := atomicfile.Write(d.unfinishedMarkPath(), nil); err != nil {
		return err
	}
	return d.createDatabase(ctx, s)
}

// refuseLostData refuses to begin anew where the rest of the state directory speaks of clusters: what knew of them is
// missing.
func refuseLostData(c *config.Config) error {
	left, err := os.ReadDir(c.ClustersDir())
	if err != nil || len(left) == 0 {
		return nil //nolint:nilerr // there are none
	}
	if _, err := os.Stat(c.SecretsKeyFile); err != nil {
		return nil //nolint:nilerr // no server has ever worked here
	}
	return fmt.Errorf("%s is missing, where the clusters are kept, though %s has files of clusters (%s): put it "+
		"back from a backup. "+
		"To begin anew without any cluster, move %s away; machines of clusters that are forgotten so go on billing",
		c.ServerDir(), c.ClustersDir(), left[0].Name(), c.ClustersDir())
}
