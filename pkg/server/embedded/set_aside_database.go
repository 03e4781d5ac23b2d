package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// openExistingData prepares a finished data directory for this program. etcd's data cannot be recreated: they are never
// changed, and a directory without them is refused. Temporal's database holds the running operations, which sweeps
// resume from etcd: a database that this program cannot read is set aside and recreated.
func (d dataDir) openExistingData(ctx context.Context, want schemaVersion, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(d.etcdDir(), "member")); err != nil {
		return fmt.Errorf("no etcd data in %s (%w): restore it from a backup. "+
			"To start empty, move %s away; machines of the lost clusters keep costing money",
			d.etcdDir(), err, d.dir)
	}
	have, err := d.readSchemaVersion()
	if err == nil && have == want {
		if _, err := os.Stat(d.databasePath()); err == nil {
			return d.recordDatabaseReplaced()
		}
	}
	was := "unknown"
	if err == nil {
		was = have.String()
	}
	dir, err := d.setDatabaseAside(was)
	if err != nil {
		return fmt.Errorf("setting Temporal's database in %s aside, because it has schema %s and this program needs "+
			"%s: %w", d.dir, was, want, err)
	}
	if err := d.createDatabase(ctx, want); err != nil {
		return fmt.Errorf("recreating Temporal's database in %s: %w", d.dir, err)
	}
	log.Warn("Temporal's database was written by another version: it was set aside and recreated; running "+
		"operations are resumed from etcd",
		"kept_in", dir, "schema", was, "needed", want.String())
	return d.recordDatabaseReplaced()
}

// setDatabaseAside moves Temporal's database and its side files into a directory of their own. It can be interrupted
// and repeated at any point: the list names the directory before any file is moved, and the version is written last.
func (d dataDir) setDatabaseAside(was string) (string, error) {
	all, err := d.readSetAsideList()
	if err != nil {
		return "", err
	}
	if n := len(all); n == 0 || all[n-1].Done {
		now := time.Now().UTC()
		all = append(all, daemon.SetAsideDatabase{Dir: filepath.Join(d.dir, "temporal-"+now.Format("20060102-150405")),
			Schema: was, At: now})
		if err := d.writeSetAsideList(all); err != nil {
			return "", err
		}
	}
	dir := all[len(all)-1].Dir
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// The log moves first: a database without its log lacks the latest writes.
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := moveFileOnce(d.databasePath()+suffix,
			filepath.Join(dir, filepath.Base(d.databasePath())+suffix)); err != nil {
			return "", err
		}
	}
	return dir, errors.Join(atomicfile.SyncDir(dir), atomicfile.SyncDir(d.dir))
}

// moveFileOnce moves a file. If it was moved before, a file with the old name is an unfinished new one and is removed.
func moveFileOnce(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		if err := os.Remove(from); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d dataDir) readSetAsideList() ([]daemon.SetAsideDatabase, error) {
	data, err := os.ReadFile(daemon.SetAsideListPath(d.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []daemon.SetAsideDatabase
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	return all, err
}

func (d dataDir) writeSetAsideList(all []daemon.SetAsideDatabase) error {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(daemon.SetAsideListPath(d.dir), append(data, '\n'))
}

// recordDatabaseReplaced records that a new database has replaced the one that was set aside last.
func (d dataDir) recordDatabaseReplaced() error {
	all, err := d.readSetAsideList()
	if err != nil || len(all) == 0 || all[len(all)-1].Done {
		return err
	}
	all[len(all)-1].Done = true
	return d.writeSetAsideList(all)
}
