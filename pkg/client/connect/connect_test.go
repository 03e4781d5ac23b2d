package connect

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

func newTestSettings(t *testing.T, external bool) *config.Config {
	t.Helper()
	env := map[string]string{config.EnvDir: filepath.Join(t.TempDir(), "state")}
	if external {
		env["SKYCTL_ETCD_ENDPOINTS"] = "http://etcd.example.com:2379"
		env["SKYCTL_TEMPORAL_ADDRESS"] = "temporal.example.com:7233"
	}
	cfg, err := config.Load(nil, func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestExternalServersKeyIsNeverCreatedLocally(t *testing.T) {
	cfg := newTestSettings(t, true)
	worker := func(cfg *config.Config) ([]byte, error) { return ensureWorkerKey(t.Context(), cfg) }
	readers := map[string]func(*config.Config) ([]byte, error){"worker": worker, "reader": ReadSecretsKey}
	for what, readKey := range readers {
		_, err := readKey(cfg)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: %v, want a missing key", what, err)
		}
		for _, says := range []string{cfg.SecretsKeyFile, "skyd team certificates", "SKYCTL_SECRETS_KEY_FILE",
			"secretsKeyFile"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q lacks %q", what, err, says)
			}
		}
		if _, err := os.Stat(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was written into %s: %v", what, cfg.Dir, err)
		}
	}
	want, err := secretbox.LoadOrCreateKey(cfg.SecretsKeyFile) // as from a bundle
	if err != nil {
		t.Fatal(err)
	}
	if have, err := worker(cfg); err != nil || !bytes.Equal(have, want) {
		t.Errorf("the existing key is not used: %v", err)
	}
}

func TestReaderOfSkydDevCreatesNoKey(t *testing.T) {
	cfg := newTestSettings(t, false)
	if _, err := ReadSecretsKey(cfg); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "skyd dev") {
		t.Errorf("a reader: %v", err)
	}
}
