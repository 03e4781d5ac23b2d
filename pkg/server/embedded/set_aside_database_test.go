package embedded

import (
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// outdate makes a data directory look as if another version of Temporal had written it.
func outdate(t *testing.T, d dataDir, version string) {
	t.Helper()
	err := os.Remove(d.schemaVersionPath())
	if version != "" && err == nil {
		err = os.WriteFile(d.schemaVersionPath(), []byte(version), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseOfAnotherSchemaIsSetAside(t *testing.T) {
	want, err := currentSchema()
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, t.TempDir())
	d := dataDir{dir: c.ServerDir()}
	s := startStack(t, c)
	if _, err := etcdClient(t, c, clientTLS(t, c.Etcd.TLS)).Put(contextWithin(t, time.Minute), "k", "v"); err != nil {
		t.Fatal(err)
	}
	leaveWorkflow(t, c)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// This is the form that d9e060a wrote. A really older schema would need an older Temporal.
	outdate(t, d, `{"version":"`+want.Version+`","visibility":"`+want.Visibility+`","sha256":"0123456789"}`)

	// Temporal keeps a database open by its path until the process exits. A new version runs in another process.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(c.Dir, link); err != nil {
		t.Fatal(err)
	}
	c = testConfig(t, link)
	startStack(t, c)
	if got, err := etcdClient(t, c, clientTLS(t, c.Etcd.TLS)).Get(contextWithin(t, time.Minute), "k"); err != nil ||
		len(got.Kvs) != 1 {
		t.Errorf("etcd has %v, %v", got, err)
	}
	if knowsWorkflow(t, c) {
		t.Error("the new database has the workflow of the old one")
	}
	aside := daemon.ReadSetAsideDatabases(c)
	if len(aside) != 1 || !aside[0].Done || !strings.Contains(aside[0].Schema, "(01234567)") {
		t.Fatalf("set aside are %+v", aside)
	}
	if n := executions(t, filepath.Join(aside[0].Dir, "temporal.db")); n == 0 {
		t.Error("the database that was set aside lost its workflow")
	}
}

func leaveWorkflow(t *testing.T, c *config.Config) {
	t.Helper()
	tc, err := temporalClient(contextWithin(t, time.Minute), c, clientTLS(t, c.Temporal.TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	if _, err := tc.ExecuteWorkflow(contextWithin(t, time.Minute),
		client.StartWorkflowOptions{ID: "left", TaskQueue: "none"}, "left"); err != nil {
		t.Fatal(err)
	}
}

func knowsWorkflow(t *testing.T, c *config.Config) bool {
	t.Helper()
	tc, err := temporalClient(contextWithin(t, time.Minute), c, clientTLS(t, c.Temporal.TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	_, err = tc.DescribeWorkflowExecution(contextWithin(t, time.Minute), "left", "")
	if missing := new(serviceerror.NotFound); err != nil && !errors.As(err, &missing) {
		t.Fatal(err)
	}
	return err == nil
}

func executions(t *testing.T, name string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", sqliteDSN(name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM current_executions").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// createFinishedData creates a data directory as after a stop, with dummy files.
func createFinishedData(t *testing.T) (*config.Config, dataDir, schemaVersion) {
	t.Helper()
	c := testConfig(t, t.TempDir())
	d, err := prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler))
	if err == nil {
		err = errors.Join(d.markFinished(), os.MkdirAll(filepath.Join(d.etcdDir(), "member"), 0o700),
			os.WriteFile(d.databasePath()+"-wal", []byte("the last of it"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := currentSchema()
	if err != nil {
		t.Fatal(err)
	}
	return c, d, want
}

func TestInterruptedSetAsideIsCompleted(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		name string
		cut  func(d dataDir) error
	}{
		{"before any change", func(dataDir) error { return nil }},
		{"after the list names the directory", func(d dataDir) error {
			return d.writeSetAsideList([]daemon.SetAsideDatabase{{Dir: filepath.Join(d.dir, "temporal-1"),
				Schema: "old", At: time.Now()}})
		}},
		{"after the log moved", func(d dataDir) error {
			dir := filepath.Join(d.dir, "temporal-1")
			return errors.Join(d.writeSetAsideList(
				[]daemon.SetAsideDatabase{{Dir: dir, Schema: "old", At: time.Now()}}), os.Mkdir(dir, 0o700),
				os.Rename(d.databasePath()+"-wal", filepath.Join(dir, "temporal.db-wal")))
		}},
		{"after all files moved", func(d dataDir) error { _, err := d.setDatabaseAside("old"); return err }},
		{"with an incomplete new database", func(d dataDir) error {
			_, err := d.setDatabaseAside("old")
			return errors.Join(err, os.WriteFile(d.databasePath(), []byte("half"), 0o600),
				os.WriteFile(d.databasePath()+"-wal", []byte("half"), 0o600))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, d, _ := createFinishedData(t)
			old, err := os.ReadFile(d.databasePath())
			if err != nil {
				t.Fatal(err)
			}
			outdate(t, d, `{"version":"0.9","visibility":"0.1","sha256":"abcdef0123"}`)
			if err := tt.cut(d); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second start changes nothing
				if _, err := prepareDataDir(t.Context(), c, quiet); err != nil {
					t.Fatal(err)
				}
				aside := daemon.ReadSetAsideDatabases(c)
				if len(aside) != 1 || !aside[0].Done {
					t.Fatalf("set aside are %+v", aside)
				}
				kept, err := os.ReadFile(filepath.Join(aside[0].Dir, "temporal.db"))
				if err != nil || string(kept) != string(old) {
					t.Errorf("the old database has changed: %d bytes, %v", len(kept), err)
				}
				if wal, err := os.ReadFile(filepath.Join(aside[0].Dir, "temporal.db-wal")); err != nil ||
					string(wal) != "the last of it" {
					t.Errorf("its log is %q, %v", wal, err)
				}
				if executions(t, d.databasePath()) != 0 {
					t.Error("the new database is not valid")
				}
			}
		})
	}
}

func TestDatabaseWithoutAVersionIsSetAside(t *testing.T) {
	for name, version := range map[string]string{"unreadable": "{", "missing": ""} {
		t.Run(name, func(t *testing.T) {
			c, d, want := createFinishedData(t)
			outdate(t, d, version)
			if _, err := prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			if have, err := d.readSchemaVersion(); err != nil || have != want {
				t.Errorf("the version is %v, %v", have, err)
			}
			if aside := daemon.ReadSetAsideDatabases(c); len(aside) != 1 || aside[0].Schema != "unknown" {
				t.Errorf("set aside are %+v", aside)
			}
		})
	}
}

func TestDataDirWithoutEtcdDataIsRefused(t *testing.T) {
	t.Run("etcd's data", func(t *testing.T) {
		c, d, _ := createFinishedData(t)
		if err := os.RemoveAll(d.etcdDir()); err != nil {
			t.Fatal(err)
		}
		_, err := prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler))
		assertRefused(t, err, d.etcdDir(), "backup", "costing money")
		if _, err := os.Stat(d.etcdDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an empty database was created: %v", err)
		}
	})
	t.Run("all of the server's data", func(t *testing.T) {
		c, d, _ := createFinishedData(t)
		err := errors.Join(os.RemoveAll(d.dir), os.MkdirAll(c.ClusterDir("dev"), 0o700),
			os.WriteFile(c.SecretsKeyFile, nil, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		_, err = prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler))
		assertRefused(t, err, c.ServerDir(), "dev", "backup", "costing money")
	})
}

func assertRefused(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("the start succeeded")
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q lacks %q", err, s)
		}
	}
}
