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
)

// giveUp says what losing the key for good means, and how to go on.
const giveUp = "where it is lost for good, %s --new-secrets-key makes another one: what was sealed (SSH keys, tokens and kubeconfigs of " +
	"all clusters) is lost then, and the clusters can only be deleted"

// WorkerStore is Store for who writes secrets: its key is the one that those in etcd are sealed with. A skyd dev is its own
// installation and makes the key where nothing is sealed yet; what works for external servers shares the key of those who work
// for them already. Where the settings say so, a new key takes the place of one that is lost.
func WorkerStore(ctx context.Context, cfg *config.Config, now time.Time) (*store.Store, error) {
	_, missing := os.Stat(cfg.SecretsKeyFile)
	key, err := workerKey(ctx, cfg)
	if err != nil {
		return nil, err
	}
	st, err := Store(ctx, cfg, key)
	if err != nil {
		return nil, err
	}
	if err = st.CheckKey(ctx, now); err != nil && cfg.NewSecretsKey && errors.Is(missing, fs.ErrNotExist) {
		err = st.UseKey(ctx, now)
	}
	if err == nil {
		return st, nil
	}
	_ = st.Close()
	if other := new(store.OtherKeyError); !errors.As(err, &other) {
		return nil, err
	}
	if cfg.NewSecretsKey {
		return renewKey(ctx, cfg, now)
	}
	return nil, fmt.Errorf("%w: put the right key back as %s, or name where it lies with %s; "+giveUp,
		err, cfg.SecretsKeyFile, cfg.HowToSet("secretsKeyFile"), starter(cfg))
}

// starter is the command that starts what refuses to start.
func starter(cfg *config.Config) string {
	if cfg.External() {
		return "skyd worker"
	}
	return "skyctl server start"
}

// workerKey reads the key, and makes one only where no secret would be lost by that, or somebody accepts that.
func workerKey(ctx context.Context, cfg *config.Config) ([]byte, error) {
	key, err := SecretsKey(cfg)
	if !errors.Is(err, fs.ErrNotExist) || cfg.External() && !cfg.NewSecretsKey {
		return key, err
	}
	if !cfg.NewSecretsKey {
		if sealed, err := anySealed(ctx, cfg); err != nil {
			return nil, err
		} else if sealed {
			mend := "etcd holds secrets that only this key opens; put it back from your backup, or name where it lies with " +
				cfg.HowToSet("secretsKeyFile") + "; " + fmt.Sprintf(giveUp, starter(cfg))
			return nil, &missingKey{path: cfg.SecretsKeyFile, mend: mend}
		}
	}
	return store.LoadOrCreateKey(cfg.SecretsKeyFile)
}

func anySealed(ctx context.Context, cfg *config.Config) (bool, error) {
	st, err := Store(ctx, cfg, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = st.Close() }()
	return st.Sealed(ctx)
}

// renewKey puts a key that fits nothing aside, and makes another one the key in use.
func renewKey(ctx context.Context, cfg *config.Config, now time.Time) (*store.Store, error) {
	aside := cfg.SecretsKeyFile + "." + now.UTC().Format("20060102-150405")
	if err := os.Rename(cfg.SecretsKeyFile, aside); err != nil {
		return nil, fmt.Errorf("setting the secrets key aside that does not fit: %w", err)
	}
	key, err := store.LoadOrCreateKey(cfg.SecretsKeyFile)
	if err != nil {
		return nil, err
	}
	st, err := Store(ctx, cfg, key)
	if err != nil {
		return nil, err
	}
	if err := st.UseKey(ctx, now); err != nil {
		_ = st.Close()
		return nil, err
	}
	return st, nil
}
