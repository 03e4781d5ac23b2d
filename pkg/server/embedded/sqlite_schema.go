package embedded

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteschema "go.temporal.io/server/schema/sqlite"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
)

// schemaVersion is the version of a database. Temporal does not always raise the version of its SQLite schema when it
// changes it, so the version includes a hash of the statements.
type schemaVersion struct {
	Version    string `json:"version"`
	Visibility string `json:"visibility"`
	SHA256     string `json:"sha256"`
}

func (s schemaVersion) String() string {
	return fmt.Sprintf("%s/%s (%.8s)", s.Version, s.Visibility, s.SHA256)
}

func (d dataDir) readSchemaVersion() (schemaVersion, error) {
	var have schemaVersion
	data, err := os.ReadFile(d.schemaVersionPath())
	if err == nil {
		err = json.Unmarshal(data, &have)
	}
	return have, err
}

// createDatabase creates Temporal's database and writes its version last.
func (d dataDir) createDatabase(ctx context.Context, s schemaVersion) error {
	// SQLite would create a file that other users can read.
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

// schemaStatements receives the statements of Temporal's schema instead of a database, which Temporal would never
// close.
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

// escapeURIPath allows '?', '#', '%' and spaces in the name of a directory.
func escapeURIPath(name string) string { return (&url.URL{Path: name}).EscapedPath() }

func sqliteDSN(name string) string { return "file:" + escapeURIPath(name) + "?mode=rw" }
