// Package embedded runs Temporal, its Web UI and etcd in this process, on loopback and for one user, with all their
// data in the state directory. It is the base of skyd dev.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.temporal.io/server/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

const (
	startTimeout     = time.Minute
	pollInterval     = 20 * time.Millisecond
	pkiCheckInterval = 12 * time.Hour
)

// Options say what to run and where it logs.
type Options struct {
	Config *config.Config
	Log    *slog.Logger // the servers' own records appear from warnings upward
	// Restart starts the program again when a server exits it because the disk is full; nil if it only exits.
	Restart func()
}

// Stack is the running servers. Its addresses come from the settings it was started with.
type Stack struct {
	cfg      *config.Config
	log      *slog.Logger
	lock     *daemon.Lock
	restart  func()
	etcd     *embed.Etcd
	temporal temporal.Server
	ui       *http.Server
	quiet    atomic.Bool // drops what the servers log
	portNote string

	closeOnce sync.Once
	closing   chan struct{}
	done      chan struct{}
	err       error // why done was closed; read it after
}

// StartServers returns when all servers answer. It refuses a state directory that another process uses, ports in use,
// and lost data, before it starts a server.
func StartServers(ctx context.Context, o Options) (*Stack, error) {
	c := o.Config
	if c.IsExternal() {
		return nil, errors.New("etcd.endpoints and temporal.address are set, so there is no server to run here: " +
			"unset them, or run skyd worker")
	}
	if err := config.MakeDir(c.Dir); err != nil {
		return nil, err
	}
	lock, err := daemon.AcquireLock(c.LockFile())
	if err != nil {
		return nil, fmt.Errorf("the data in %s is %w: use that server, or stop it first", c.Dir, err)
	}
	s := &Stack{cfg: c, log: o.Log, lock: lock, restart: o.Restart, closing: make(chan struct{}),
		done: make(chan struct{})}
	if err := s.startServers(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	go s.watchServers()
	return s, nil
}

func (s *Stack) startServers(ctx context.Context) error {
	if err := awaitDiskSpace(ctx, s.cfg.Dir, s.log); err != nil {
		return err
	}
	note, err := choosePorts(s.cfg)
	if err != nil {
		return err
	}
	if s.portNote = note; note != "" {
		s.log.Warn(note)
	}
	if err := checkPortsFree(s.cfg); err != nil {
		return err
	}
	if err := ensureCertificates(s.cfg, time.Now()); err != nil {
		return err
	}
	data, err := prepareDataDir(ctx, s.cfg, s.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	log := slog.New(serverLogHandler{s.log.Handler(), &s.quiet})
	fatal := fatalErrorHandler{dir: s.cfg.Dir, restart: s.restart, log: s.log}
	// Only the first error matters: the other servers then report that they were cancelled.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s.etcd, err = startEtcd(ctx, s.cfg, data.etcdDir(), log, fatal)
		return err
	})
	group.Go(func() (err error) {
		s.temporal, err = startTemporal(ctx, s.cfg, data, log, fatal)
		return err
	})
	group.Go(func() (err error) {
		if s.ui, err = newUIServer(s.cfg); err != nil {
			return err
		}
		if err := serveUI(ctx, s.ui); err != nil {
			return err
		}
		return awaitUIReady(ctx, s.cfg)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return data.markFinished()
}

// watchServers reports a server that stops unexpectedly, and renews certificates in a process that may run for years.
func (s *Stack) watchServers() {
	renew, checkSpace := time.NewTicker(pkiCheckInterval), time.NewTicker(diskSpaceCheckInterval)
	defer renew.Stop()
	defer checkSpace.Stop()
	disk := &diskSpaceMonitor{dir: s.cfg.Dir, log: s.log}
	etcdSpace := &etcdSpaceReclaimer{etcd: s.etcd, log: s.log}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.closing:
			cancel() // also stops a running reclaim of etcd's space
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-s.closing:
			return
		case err := <-s.etcd.Err():
			s.reportStopped(fmt.Errorf("etcd stopped: %w", err))
			return
		case <-s.etcd.Server.StopNotify():
			s.reportStopped(errors.New("etcd stopped unexpectedly; the log has the reason"))
			return
		case <-checkSpace.C:
			if known := disk.checkDiskSpace(); known && !disk.full {
				etcdSpace.reclaimIfNeeded(ctx)
			}
		case now := <-renew.C:
			if err := ensureCertificates(s.cfg, now); err != nil {
				s.log.Error("renewing certificates", "error", err)
			}
		}
	}
}

func (s *Stack) reportStopped(err error) {
	select {
	case <-s.closing: // Close was called
	default:
		s.err = err
		close(s.done)
	}
}

// Done is closed when a server stopped unexpectedly; Err has the reason.
func (s *Stack) Done() <-chan struct{} { return s.done }

// Err is why Done was closed.
func (s *Stack) Err() error { return s.err }

// TemporalAddress is where Temporal answers, as host:port.
func (s *Stack) TemporalAddress() string { return s.cfg.Temporal.Address }

// EtcdEndpoint is where etcd answers, as a URL.
func (s *Stack) EtcdEndpoint() string { return s.cfg.Etcd.Endpoints[0] }

// UIAddress is the URL of the Web UI.
func (s *Stack) UIAddress() string { return s.cfg.UI.Address }

// PortNote says which ports this start has chosen because others were taken, and by whom; it is empty if it chose none.
func (s *Stack) PortNote() string { return s.portNote }

// Close stops the servers in the order of their dependencies, and releases the state directory. Stop workers before.
func (s *Stack) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closing)
		s.quiet.Store(true)
		if s.ui != nil {
			err = s.ui.Close()
		}
		if s.temporal != nil {
			err = errors.Join(err, s.temporal.Stop())
		}
		if s.etcd != nil {
			s.etcd.Close()
		}
		err = errors.Join(err, s.lock.Release())
	})
	return err
}
