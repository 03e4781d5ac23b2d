package embedded

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteschema "go.temporal.io/server/schema/sqlite"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
)

// dataDir is what skyd dev keeps: Temporal's database, etcd's directory, and the version of the schema they have.
type dataDir struct {
	dir string
}

func (d dataDir) databasePath() string      { return filepath.Join(d.dir, "temporal.db") }
func (d dataDir) etcdDir() string           { return filepath.Join(d.dir, "etcd") }
func (d dataDir) schemaVersionPath() string { return filepath.Join(d.dir, "version.json") }

// unfinishedMarkPath is there from before the first byte of data until the servers answered for the first time. Nothing
// can have been stored while it is there, so a creation that was cut short is thrown away and begun again.
func (d dataDir) unfinishedMarkPath() string { return filepath.Join(d.dir, "unfinished") }

// schemaVersion is the version of a database. Temporal doesn't always raise the number of its SQLite schema when it
// changes it: the hash of its statements tells.
type schemaVersion struct {
	Version    string `json:"version"`
	Visibility string `json:"visibility"`
	SHA256     string `json:"sha256"`
}

func (s schemaVersion) String() string {
	return fmt.Sprintf("%s/%s (%.8s)", s.Version, s.Visibility, s.SHA256)
}

// prepareDataDir makes the data directory where there is none, and makes one that there is fit for this program.
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

// createDatabase makes Temporal's database, and says last which version it has.
func (d dataDir) createDatabase(ctx context.Context, s schemaVersion) error {
	// The file is made here and not by SQLite, which would make it readable by others.
	if err := atomicfile.Write(d.databasePath(), nil); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteDSN(d.databasePath()))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	err = sqliteschema.SetupSchemaOnDB(schemaStatements{exec: func(statement string) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	}})
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.schemaVersionPath(), append(data, '\n'))
}

// schemaStatements takes the statements of Temporal's schema instead of a database, which Temporal would keep open for
// good.
type schemaStatements struct {
	sqlplugin.AdminDB
	exec func(string) error
}

func (s schemaStatements) Exec(statement string, _ ...any) error { return s.exec(statement) }

func currentSchema() (schemaVersion, error) {
	h := sha256.New()
	err := sqliteschema.SetupSchemaOnDB(schemaStatements{exec: func(statement string) error {
		_, err := fmt.Fprintln(h, statement)
		return err
	}})
	if err != nil {
		return schemaVersion{}, fmt.Errorf("reading the schema: %w", err)
	}
	return schemaVersion{sqliteschema.Version, sqliteschema.VisibilityVersion, hex.EncodeToString(h.Sum(nil))}, nil
}

// escapeURIPath lets a directory hold '?', '#', '%' or a space in its name.
func escapeURIPath(name string) string { return (&url.URL{Path: name}).EscapedPath() }

func sqliteDSN(name string) string { return "file:" + escapeURIPath(name) + "?mode=rw" }
