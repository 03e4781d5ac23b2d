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

// openExistingData makes a data directory that was complete once fit for this program. What can't be made again is
// etcd's, and is never touched; where it is not there, the directory is refused. Temporal's database holds what was
// under way, which the sweeps take up from etcd: one that this program can't read is set aside, and made anew.
func (d dataDir) openExistingData(ctx context.Context, want schemaVersion, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(d.etcdDir(), "member")); err != nil {
		return fmt.Errorf("etcd's data are not in %s, where the clusters are kept (%w): put them back from a backup. "+
			"To begin anew without any cluster, move %s away; machines of clusters that are forgotten so go on billing",
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
		return fmt.Errorf("setting Temporal's database in %s aside, which has schema %s where this program needs "+
			"%s: %w", d.dir, was, want, err)
	}
	if err := d.createDatabase(ctx, want); err != nil {
		return fmt.Errorf("creating Temporal's database in %s anew: %w", d.dir, err)
	}
	log.Warn("Temporal's database was written by another version: it was set aside and made anew; operations under "+
		"way are taken up from etcd",
		"kept_in", dir, "schema", was, "needed", want.String())
	return d.recordDatabaseReplaced()
}

// setDatabaseAside moves Temporal's database with all that belongs to it into a directory of its own. It may be cut
// short at any instant and begun again: the list says where to, before anything is moved, and the version is written
// last.
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
	// a database without its log would be one that lacks the last of it
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := moveFileOnce(d.databasePath()+suffix,
			filepath.Join(dir, filepath.Base(d.databasePath())+suffix)); err != nil {
			return "", err
		}
	}
	return dir, errors.Join(atomicfile.SyncDir(dir), atomicfile.SyncDir(d.dir))
}

// moveFileOnce moves a file. Where it was moved before, what has its name is a new one that was cut short, and goes.
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

// recordDatabaseReplaced says of the last database that was set aside that another stands in its place.
func (d dataDir) recordDatabaseReplaced() error {
	all, err := d.readSetAsideList()
	if err != nil || len(all) == 0 || all[len(all)-1].Done {
		return err
	}
	all[len(all)-1].Done = true
	return d.writeSetAsideList(all)
}
