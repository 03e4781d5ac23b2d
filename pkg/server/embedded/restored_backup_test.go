package embedded

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/server/backup"
)

// layDownSnapshot lays a snapshot with a key down as skyctl server restore does, and returns the settings.
func layDownSnapshot(t *testing.T) *config.Config {
	t.Helper()
	c := testConfig(t, t.TempDir())
	s := startStack(t, c)
	client := etcdClient(t, c, clientTLS(t, c.Etcd.TLS))
	ctx := contextWithin(t, time.Minute)
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	r, err := client.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	to := testConfig(t, t.TempDir())
	putRestored(t, to, backup.SnapshotFile, string(data))
	putRestored(t, to, home.RestorationFile, `{"id":"r1"}`)
	return to
}

func putRestored(t *testing.T, c *config.Config, name, content string) {
	t.Helper()
	if err := config.MakeDir(c.RestoreDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.RestoreDir(), name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func requireKey(t *testing.T, c *config.Config) {
	t.Helper()
	got, err := etcdClient(t, c, clientTLS(t, c.Etcd.TLS)).Get(contextWithin(t, time.Minute), "k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "v" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFirstStartAfterARestoreHasItsData(t *testing.T) {
	c := layDownSnapshot(t)
	// A start that was killed before the servers had answered is done again.
	if _, err := prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s := startStack(t, c)
	requireKey(t, c)
	if r, err := home.ReadRestoration(c.ServerDir()); err != nil || r == nil || r.ID != "r1" {
		t.Errorf("restored from %+v, %v", r, err)
	}
	if _, err := os.Stat(c.RestoreDir()); !os.IsNotExist(err) {
		t.Errorf("the backup is still there: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The start was killed before it had removed the backup.
	putRestored(t, c, home.RestorationFile, `{"id":"r1"}`)
	startStack(t, c)
	requireKey(t, c)
}

func TestInterruptedRestoreIsNotStarted(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *config.Config){
		"beside other data": func(t *testing.T, c *config.Config) {
			if err := config.MakeDir(filepath.Join(c.ServerDir(), "etcd", "member")); err != nil {
				t.Fatal(err)
			}
		},
		"before its key was in place": func(t *testing.T, c *config.Config) { putRestored(t, c, "secrets.key", "k") },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t, t.TempDir())
			putRestored(t, c, backup.SnapshotFile, "x")
			putRestored(t, c, home.RestorationFile, `{"id":"r2"}`)
			prepare(t, c)
			_, err := prepareDataDir(t.Context(), c, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), "skyctl server restore again") {
				t.Errorf("got %v", err)
			}
		})
	}
}
