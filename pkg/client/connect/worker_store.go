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

// lostKeyHint says what losing the key for good means, and how to go on.
const lostKeyHint = "where it is lost for good, %s --new-secrets-key makes another one: what was sealed (SSH keys, " +
	"tokens and kubeconfigs of " +
	"all clusters) is lost then, and the clusters can only be deleted"

// OpenWorkerStore is Store for who writes secrets: its key is the one that those in etcd are sealed with. A skyd dev is
// its own installation and makes the key where nothing is sealed yet; what works for external servers shares the key of
// those who work for them already. Where the settings say so, a new key takes the place of one that is lost.
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
	return nil, fmt.Errorf("%w: put the right key back as %s, or name where it lies with %s; "+lostKeyHint,
		err, cfg.SecretsKeyFile, cfg.HowToSet("secretsKeyFile"), startCommand(cfg))
}

// startCommand is the command that starts what refuses to start.
func startCommand(cfg *config.Config) string {
	if cfg.IsExternal() {
		return "skyd worker"
	}
	return "skyctl server start"
}

// ensureWorkerKey reads the key, and makes one only where no secret would be lost by that, or somebody accepts that.
func ensureWorkerKey(ctx context.Context, cfg *config.Config) ([]byte, error) {
	key, err := ReadSecretsKey(cfg)
	if !errors.Is(err, fs.ErrNotExist) || cfg.IsExternal() && !cfg.NewSecretsKey {
		return key, err
	}
	if !cfg.NewSecretsKey {
		if sealed, err := hasSealedSecrets(ctx, cfg); err != nil {
			return nil, err
		} else if sealed {
			mend := "etcd holds secrets that only this key opens; put it back from your backup, or name where it " +
				"lies with " +
				cfg.HowToSet("secretsKeyFile") + "; " + fmt.Sprintf(lostKeyHint, startCommand(cfg))
			return nil, &missingKeyError{path: cfg.SecretsKeyFile, mend: mend}
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

// replaceSecretsKey puts a key that fits nothing aside, and makes another one the key in use.
func replaceSecretsKey(ctx context.Context, cfg *config.Config, now time.Time) (*store.Store, error) {
	aside := cfg.SecretsKeyFile + "." + now.UTC().Format("20060102-150405")
	if err := os.Rename(cfg.SecretsKeyFile, aside); err != nil {
		return nil, fmt.Errorf("setting the secrets key aside that does not fit: %w", err)
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
