package connect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// lostKeyHint says what to do if the key is permanently lost.
const lostKeyHint = "if it is permanently lost, run %s --new-secrets-key; you can then only delete the existing " +
	"clusters"

// OpenWorkerStore is OpenStore for a worker, which writes secrets: it checks that its key decrypts those in etcd. skyd
// dev creates the key if etcd has no secrets yet; a worker of external servers shares the key of the other workers. If
// cfg.NewSecretsKey is set, a new key replaces a lost one.
func OpenWorkerStore(ctx context.Context, cfg *config.Config, now time.Time) (*store.Store, error) {
	_, missing := os.Stat(cfg.SecretsKeyFile)
	key, err := ensureWorkerKey(ctx, cfg)
	if err != nil {
		return nil, err
	}
	st, err := OpenStore(ctx, cfg, key)
	if err != nil {
		return nil, err
	}
	if err = st.CheckSecretsKey(ctx, now); err != nil && cfg.NewSecretsKey && errors.Is(missing, fs.ErrNotExist) {
		err = st.RecordSecretsKey(ctx, now)
	}
	if err == nil {
		return st, nil
	}
	_ = st.Close()
	if other := new(store.OtherKeyError); !errors.As(err, &other) {
		return nil, err
	}
	if cfg.NewSecretsKey {
		return replaceSecretsKey(ctx, cfg, now)
	}
	return nil, fmt.Errorf("%w: restore the right key to %s, or set its path with %s; "+lostKeyHint,
		err, cfg.SecretsKeyFile, cfg.HowToSet("secretsKeyFile"), startCommand(cfg))
}

// startCommand is the command that starts the worker.
func startCommand(cfg *config.Config) string {
	if cfg.IsExternal() {
		return "skyd worker"
	}
	return "skyctl server start"
}

// ensureWorkerKey reads the key. It creates one only if no secret is lost by that, or if the settings accept the loss.
func ensureWorkerKey(ctx context.Context, cfg *config.Config) ([]byte, error) {
	key, err := ReadSecretsKey(cfg)
	if !errors.Is(err, fs.ErrNotExist) || cfg.IsExternal() && !cfg.NewSecretsKey {
		return key, err
	}
	if !cfg.NewSecretsKey {
		if sealed, err := hasSealedSecrets(ctx, cfg); err != nil {
			return nil, err
		} else if sealed {
			fix := "etcd has secrets that only this key decrypts; restore it from your backup, or set its path with " +
				cfg.HowToSet("secretsKeyFile") + "; " + fmt.Sprintf(lostKeyHint, startCommand(cfg))
			return nil, &missingKeyError{path: cfg.SecretsKeyFile, fix: fix}
		}
	}
	return secretbox.LoadOrCreateKey(cfg.SecretsKeyFile)
}

func hasSealedSecrets(ctx context.Context, cfg *config.Config) (bool, error) {
	st, err := OpenStore(ctx, cfg, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = st.Close() }()
	return st.HasSecrets(ctx)
}

// replaceSecretsKey renames a key that decrypts nothing, and creates a new one.
func replaceSecretsKey(ctx context.Context, cfg *config.Config, now time.Time) (*store.Store, error) {
	renamed := cfg.SecretsKeyFile + "." + now.UTC().Format("20060102-150405")
	if err := os.Rename(cfg.SecretsKeyFile, renamed); err != nil {
		return nil, fmt.Errorf("renaming the wrong secrets key: %w", err)
	}
	key, err := secretbox.LoadOrCreateKey(cfg.SecretsKeyFile)
	if err != nil {
		return nil, err
	}
	st, err := OpenStore(ctx, cfg, key)
	if err != nil {
		return nil, err
	}
	if err := st.RecordSecretsKey(ctx, now); err != nil {
		_ = st.Close()
		return nil, err
	}
	return st, nil
}
