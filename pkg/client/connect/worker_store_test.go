package connect_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
	"github.com/sky-shift/skyctl/test/devserver"
)

// servers are shared by all tests of this package.
var servers *devserver.Servers

func TestMain(m *testing.M) { os.Exit(devserver.RunTests(m, &servers, os.Stderr)) }

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// newInstallation returns the settings of a new installation in the shared etcd, with its own key file.
func newInstallation(t *testing.T) *config.Config {
	t.Helper()
	cfg := *servers.Config
	cfg.Etcd.Prefix, cfg.SecretsKeyFile = "/"+t.Name(), filepath.Join(t.TempDir(), "secrets.key")
	return &cfg
}

func open(t *testing.T, cfg *config.Config) (*store.Store, error) {
	t.Helper()
	st, err := connect.OpenWorkerStore(t.Context(), cfg, now)
	if err == nil {
		t.Cleanup(func() { _ = st.Close() })
	}
	return st, err
}

// sealSecret stores a secret of a cluster.
func sealSecret(t *testing.T, st *store.Store, name string) api.Ref {
	t.Helper()
	c, err := st.CreateCluster(t.Context(), api.NewCluster(name, "uid-"+name, api.GroupSpec{NumNodes: 1}, nil, now))
	if err == nil {
		err = st.PutSecret(t.Context(), c.Ref(), store.SecretSSHKey, []byte("secret"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.Ref()
}

func readKey(t *testing.T, cfg *config.Config) []byte {
	t.Helper()
	key, err := secretbox.LoadKey(cfg.SecretsKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeyIsCreatedIfNoSecretIsSealed(t *testing.T) {
	cfg := newInstallation(t)
	if _, err := open(t, cfg); err != nil {
		t.Fatal(err)
	}
	made := readKey(t, cfg)
	if _, err := open(t, cfg); err != nil || !bytes.Equal(readKey(t, cfg), made) {
		t.Errorf("the second start failed or has another key: %v", err)
	}
	if err := os.Remove(cfg.SecretsKeyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, cfg); err != nil {
		t.Errorf("without sealed secrets a new key is created: %v", err)
	}
}

func TestMissingKeyIsNotRecreatedWhileSecretsAreSealed(t *testing.T) {
	cfg := newInstallation(t)
	st, err := open(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ref := sealSecret(t, st, "a")
	away := cfg.SecretsKeyFile + ".away"
	if err := os.Rename(cfg.SecretsKeyFile, away); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, cfg)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want that the key is missing", err)
	}
	for _, says := range []string{cfg.SecretsKeyFile, "backup", "secretsKeyFile", "--new-secrets-key",
		"only delete"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q lacks %q", err, says)
		}
	}
	if _, err := os.Stat(cfg.SecretsKeyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was created: %v", err)
	}
	if err := os.Rename(away, cfg.SecretsKeyFile); err != nil {
		t.Fatal(err)
	}
	if st, err = open(t, cfg); err != nil {
		t.Fatal(err)
	}
	if got, err := st.ReadSecret(t.Context(), ref, store.SecretSSHKey); err != nil || string(got) != "secret" {
		t.Errorf("with the key restored: %q, %v", got, err)
	}
}

func TestWrongKeyIsRefused(t *testing.T) {
	for _, recorded := range []bool{true, false} {
		t.Run(fmt.Sprintf("recorded %v", recorded), func(t *testing.T) {
			cfg := newInstallation(t)
			st, err := open(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			sealSecret(t, st, "a")
			if !recorded { // as an older version leaves it
				forgetKeyRecord(t, cfg)
			}
			if err := os.Remove(cfg.SecretsKeyFile); err != nil {
				t.Fatal(err)
			}
			if _, err := secretbox.LoadOrCreateKey(cfg.SecretsKeyFile); err != nil {
				t.Fatal(err)
			}
			_, err = open(t, cfg)
			if other := new(store.OtherKeyError); !errors.As(err, &other) ||
				!strings.Contains(err.Error(), cfg.SecretsKeyFile) {
				t.Errorf("got %v, want that another key is needed", err)
			}
		})
	}
}

func forgetKeyRecord(t *testing.T, cfg *config.Config) {
	t.Helper()
	e := devserver.DialEtcd(t, cfg)
	if r, err := e.Delete(t.Context(), cfg.Etcd.Prefix+"/secrets-key"); err != nil || r.Deleted != 1 {
		t.Fatalf("deleted %v, %v", r, err)
	}
}

func TestNewSecretsKeyFlagCreatesAKey(t *testing.T) {
	for _, missing := range []bool{true, false} {
		t.Run(fmt.Sprintf("missing %v", missing), func(t *testing.T) {
			cfg := newInstallation(t)
			st, err := open(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			sealSecret(t, st, "old")
			first := readKey(t, cfg)
			if err := os.Remove(cfg.SecretsKeyFile); err != nil {
				t.Fatal(err)
			}
			if !missing {
				if _, err := secretbox.LoadOrCreateKey(cfg.SecretsKeyFile); err != nil {
					t.Fatal(err)
				}
			}
			cfg.NewSecretsKey = true
			if st, err = open(t, cfg); err != nil {
				t.Fatal(err)
			}
			sealSecret(t, st, "new")
			cfg.NewSecretsKey = false
			if _, err := open(t, cfg); err != nil {
				t.Errorf("the next start: %v", err)
			}
			aside, err := filepath.Glob(cfg.SecretsKeyFile + ".*")
			if want := map[bool]int{true: 0, false: 1}[missing]; err != nil || len(aside) != want {
				t.Errorf("%d keys were set aside, want %d: %v", len(aside), want, err)
			}
			putKey(t, cfg, first)
			if _, err := open(t, cfg); err == nil || !strings.Contains(err.Error(), "since 2026-11-28") {
				t.Errorf("the first key was accepted again: %v", err)
			}
		})
	}
}

func putKey(t *testing.T, cfg *config.Config, key []byte) {
	t.Helper()
	if err := os.WriteFile(cfg.SecretsKeyFile, fmt.Appendf(nil, "%x\n", key), 0o600); err != nil {
		t.Fatal(err)
	}
}
