// Package devserver runs the servers of skyd dev, a real Temporal and a real etcd, in a test's process. Only tests
// import it.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/embedded"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
	"github.com/sky-shift/skyctl/test/freeport"
)

// Servers are a Temporal and an etcd as skyd dev has them, and a connection to Temporal.
type Servers struct {
	// Env is the environment for another process to connect to them.
	Env      map[string]string
	Config   *config.Config
	Temporal client.Client

	stack *embedded.Stack
}

// StartServers starts servers with their data in a directory. Said gets the SDK's log.
func StartServers(ctx context.Context, dir string, said io.Writer) (*Servers, error) {
	s := &Servers{}
	var err error
	if s.Env, err = freeport.DevEnviron(dir); err != nil {
		return nil, err
	}
	if s.Config, err = config.Load(nil, func(k string) string { return s.Env[k] }); err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	if s.Temporal, err = DialTemporal(ctx, s.Config, said); err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

// Start starts the servers again after Stop. Connections reconnect.
func (s *Servers) Start(ctx context.Context) error { return s.startWith(ctx, s.Config) }

func (s *Servers) startWith(ctx context.Context, cfg *config.Config) error {
	return freeport.TryAgain(func() (err error) {
		s.stack, err = embedded.StartServers(ctx, embedded.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
		return err
	})
}

// Stop stops the servers and keeps their data.
func (s *Servers) Stop() error { return s.stack.Close() }

// StartCopy starts servers on a copy of the data as it is after a stop. The original servers continue.
func (s *Servers) StartCopy(ctx context.Context, dir string, said io.Writer) (*Servers, error) {
	if err := s.Stop(); err != nil {
		return nil, err
	}
	err := os.CopyFS(dir, os.DirFS(s.Config.Dir))
	if err == nil {
		err = makePrivate(dir)
	}
	if err := errors.Join(err, s.Start(ctx)); err != nil {
		return nil, err
	}
	return StartServers(ctx, dir, said)
}

// makePrivate removes the access of other users, which CopyFS has granted.
func makePrivate(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(name, mode)
	})
}

// RestartOutdated makes the data look like those of a version with another Temporal, and restarts the servers on them,
// as an upgrade does. Temporal keeps a database open by its path in one process, so the directory gets another name.
func (s *Servers) RestartOutdated(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	old := []byte(`{"version":"0.0","visibility":"0.0","sha256":"00000000"}`)
	if err := os.WriteFile(filepath.Join(s.Config.ServerDir(), "version.json"), old, 0o600); err != nil {
		return err
	}
	upgraded := s.Config.Dir + ".upgraded"
	if err := os.Symlink(s.Config.Dir, upgraded); err != nil {
		return err
	}
	was := s.Env[config.EnvDir]
	s.Env[config.EnvDir] = upgraded
	named, err := config.Load(nil, func(k string) string { return s.Env[k] })
	s.Env[config.EnvDir] = was
	if err != nil {
		return err
	}
	return s.startWith(ctx, named)
}

// Close stops the servers and closes the connection to them.
func (s *Servers) Close() {
	s.Temporal.Close()
	if s.stack != nil { // a restart failed
		_ = s.stack.Close()
	}
}

// RunTests runs a package's tests with one set of servers for all of them, and returns the exit code. Said is where the
// SDK's log goes.
func RunTests(m *testing.M, servers **Servers, said io.Writer) int {
	dir, err := os.MkdirTemp("", "devserver-*")
	if err == nil {
		defer os.RemoveAll(dir)
		*servers, err = StartServers(context.Background(), filepath.Join(dir, "state"), said)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer (*servers).Close()
	return m.Run()
}

// OpenStore connects to the etcd of the settings, with their key, and creates the installation's id, as a worker does.
func OpenStore(ctx context.Context, cfg *config.Config) (*store.Store, error) {
	tls, err := cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	key, err := secretbox.LoadOrCreateKey(cfg.SecretsKeyFile)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, store.Options{Endpoints: cfg.Etcd.Endpoints, Prefix: cfg.Etcd.Prefix, TLS: tls,
		SecretsKey: key})
	if err == nil {
		_, err = st.EnsureInstallationID(ctx)
	}
	return st, err
}

// DialTemporal connects to the Temporal of the settings. Said gets the SDK's log.
func DialTemporal(ctx context.Context, cfg *config.Config, said io.Writer,
	more ...grpc.DialOption) (client.Client, error) {
	tls, err := cfg.Temporal.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(said, nil))
	return client.DialContext(ctx, client.Options{
		HostPort: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace, Identity: "worker",
		Logger: log.NewStructuredLogger(logger),
		ConnectionOptions: client.ConnectionOptions{TLS: tls,
			DialOptions: append([]grpc.DialOption{connect.TolerateSlowHeartbeats(logger)}, more...)},
	})
}

// DialEtcd connects to the etcd of the settings, for changes that skyctl never makes, or with options of the test.
func DialEtcd(t testing.TB, cfg *config.Config, more ...grpc.DialOption) *clientv3.Client {
	t.Helper()
	tls, err := cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: cfg.Etcd.Endpoints, TLS: tls, DialTimeout: 10 * time.Second,
		Logger: zap.NewNop(), DialOptions: more})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
