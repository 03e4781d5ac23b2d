// Package connect connects to etcd and to Temporal as the settings describe, and reads the secrets key.
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
	"google.golang.org/grpc"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/requestlog"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// handshakeTimeout is how long Temporal may take to answer the first request.
const handshakeTimeout = 5 * time.Second

// OpenStore connects to etcd. The key may be nil if no secret is read or written. If etcd does not answer, the error is
// a *store.UnavailableError.
func OpenStore(ctx context.Context, cfg *config.Config, key []byte) (*store.Store, error) {
	return OpenPatientStore(ctx, cfg, key, 0, nil)
}

// OpenPatientStore is OpenStore for a caller that waits for an etcd that is only slow; see etcd.Options.
func OpenPatientStore(ctx context.Context, cfg *config.Config, key []byte, patience time.Duration,
	onSlow func()) (*store.Store, error) {
	tls, err := cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix, TLS: tls,
		SecretsKey: key, Patience: patience, OnSlow: onSlow})
}

// DialTemporal connects to Temporal. Histories and the Web UI show the identity. If log is nil, the Temporal client
// does not log.
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
		Logger: sdklog.NewStructuredLogger(log),
		ConnectionOptions: client.ConnectionOptions{TLS: tls, GetSystemInfoTimeout: handshakeTimeout,
			GrpcCompression: chooseCompression(cfg),
			DialOptions: append(requestlog.DialOptions(), TolerateSlowHeartbeats(log),
				grpc.WithChainUnaryInterceptor(recordLastError))},
	})
}

// chooseCompression returns no compression for skyd dev, whose Temporal is on the same computer: there it only costs
// processor time and memory, a few per cent of what a create takes.
func chooseCompression(cfg *config.Config) client.GrpcCompression {
	if cfg.IsExternal() {
		return &client.GrpcCompressionGzip{}
	}
	return &client.GrpcCompressionNone{}
}

// ReadSecretsKey reads the secrets key of the installation. It never creates one, because others could not decrypt what
// is encrypted with a second key. If the file is missing, the error wraps fs.ErrNotExist and says how to get it.
func ReadSecretsKey(cfg *config.Config) ([]byte, error) {
	key, err := secretbox.LoadKey(cfg.SecretsKeyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	missing := &missingKeyError{path: cfg.SecretsKeyFile, fix: "restore the key that skyd dev created from your backup"}
	if cfg.IsExternal() {
		missing.fix = "copy it (mode 0600) from your bundle of skyd team member, or from where skyd team " +
			"certificates created it"
	}
	missing.fix += ", or set its path with " + cfg.HowToSet("secretsKeyFile")
	return nil, missing
}

// missingKeyError says that the secrets key is missing, and how to fix that.
type missingKeyError struct{ path, fix string }

func (e *missingKeyError) Error() string {
	return fmt.Sprintf("secrets key %s is missing: %s", e.path, e.fix)
}
func (e *missingKeyError) Unwrap() error { return fs.ErrNotExist }
