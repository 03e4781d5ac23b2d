// Package connect makes the connections that the settings describe: to etcd, with the key that secrets are sealed with,
// and to Temporal. Programs differ in what they do there, never in how they get there.
package connect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// handshakeTimeout is how long Temporal may take to say what it is, once it is reached.
const handshakeTimeout = 5 * time.Second

// OpenStore connects to etcd. The key may be nil where no secret is read or written. Where etcd does not answer the
// error is a *store.UnavailableError.
func OpenStore(ctx context.Context, cfg *config.Config, key []byte) (*store.Store, error) {
	tls, err := cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix, TLS: tls,
		SecretsKey: key})
}

// DialTemporal connects to Temporal. The identity is how the caller appears in histories and in the Web UI; a nil log
// drops what Temporal's client has to say.
func DialTemporal(ctx context.Context, cfg *config.Config, identity string, log *slog.Logger) (client.Client, error) {
	tls, err := cfg.Temporal.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return client.DialContext(ctx, client.Options{
		HostPort: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace, Identity: identity,
		Logger:            sdklog.NewStructuredLogger(log),
		ConnectionOptions: client.ConnectionOptions{TLS: tls, GetSystemInfoTimeout: handshakeTimeout},
	})
}

// ReadSecretsKey reads the installation's secrets key. It never makes one: what is sealed with a second key can't be
// opened by anybody who has the first. Where there is none the error wraps fs.ErrNotExist and says how to get it.
func ReadSecretsKey(cfg *config.Config) ([]byte, error) {
	key, err := secretbox.LoadKey(cfg.SecretsKeyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	missing := &missingKeyError{path: cfg.SecretsKeyFile, mend: "put back the one that skyd dev made there"}
	if cfg.IsExternal() {
		missing.mend = "copy it (mode 0600) from your bundle of skyd team member, or from where skyd team " +
			"certificates made it"
	}
	missing.mend += ", or name where it lies with " + cfg.HowToSet("secretsKeyFile")
	return nil, missing
}

// missingKeyError says that there is no secrets key.
type missingKeyError struct{ path, mend string }

func (e *missingKeyError) Error() string {
	return fmt.Sprintf("the secrets key %s is not there: %s", e.path, e.mend)
}
func (e *missingKeyError) Unwrap() error { return fs.ErrNotExist }
