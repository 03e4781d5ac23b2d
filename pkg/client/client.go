// Package client is what commands use: it reads and writes objects in etcd, and starts, cancels and follows operations
// in Temporal. It contacts no cloud.
package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
)

// dialTimeout is how long a server may take to answer before it counts as unreachable.
const dialTimeout = 5 * time.Second

// Client connects to etcd and to Temporal when it first needs them. It is safe for concurrent use.
type Client struct {
	cfg *config.Config
	now func() time.Time
	// checkEvery is how often a wait checks that its operation is still running.
	checkEvery time.Duration
	// sweepEvery is how often AwaitInSync sweeps again.
	sweepEvery time.Duration
	// healthTimeout bounds CheckHealth, ListWorkers and ReadServerVersions.
	healthTimeout time.Duration
	notice        func(string)

	mu       sync.Mutex
	store    *store.Store
	temporal client.Client
}

// New returns a client that has not connected yet.
func New(cfg *config.Config, now func() time.Time) *Client {
	return &Client{cfg: cfg, now: now, checkEvery: 5 * time.Second, sweepEvery: 10 * time.Second,
		healthTimeout: usualHealthTimeout}
}

// SetPatience has CheckHealth, ListWorkers and ReadServerVersions wait that much longer than usual for an answer.
func (c *Client) SetPatience(more time.Duration) { c.healthTimeout = usualHealthTimeout + more }

// Close ends the connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.temporal != nil {
		c.temporal.Close()
	}
	if c.store != nil {
		_ = c.store.Close() // nothing is being written
	}
}

// ConnectStore connects to etcd. The error is a *store.UnavailableError if etcd does not answer.
func (c *Client) ConnectStore(ctx context.Context) (*store.Store, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store != nil {
		return c.store, nil
	}
	s, err := c.openStore(ctx, nil)
	if err != nil {
		return nil, err
	}
	c.store = s
	return s, nil
}

// openStore connects to etcd. The secrets key is nil if no secrets are read.
func (c *Client) openStore(ctx context.Context, key []byte) (*store.Store, error) {
	where := strings.Join(c.cfg.Etcd.Endpoints, ", ")
	s, err := connect.OpenPatientStore(ctx, c.cfg, key, slowTimeout, func() { c.noticeSlow("etcd", where) })
	var silent *store.UnavailableError
	if err != nil && ctx.Err() == nil && !errors.As(err, &silent) { // for example, an unreadable certificate
		err = &UnreachableError{What: "etcd", Where: where, Cause: err}
	}
	return s, err
}

// ConnectTemporal connects to Temporal. The error is an UnreachableError if it does not answer.
func (c *Client) ConnectTemporal(ctx context.Context) (client.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.temporal != nil {
		return c.temporal, nil
	}
	var tc client.Client
	err := c.callTemporal(ctx, dialTimeout, func(ctx context.Context) (err error) {
		tc, err = connect.DialTemporal(ctx, c.cfg, "skyctl", nil)
		return err
	})
	if err != nil {
		dialErr := c.toTemporalError(ctx, err)
		if ctx.Err() == nil && !isUnreachable(dialErr) { // for example, an unreadable certificate
			dialErr = &UnreachableError{What: "Temporal", Where: c.cfg.Temporal.Address, Cause: err}
		}
		return nil, dialErr
	}
	c.temporal = tc
	return tc, nil
}

// connectServers connects to both, so that nothing is written to one while the other is down.
func (c *Client) connectServers(ctx context.Context) (*store.Store, client.Client, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	t, err := c.ConnectTemporal(ctx)
	return s, t, err
}

// toTemporalError turns an error of Temporal into an UnreachableError if Temporal did not answer. If ctx, the context
// of the caller, has ended, it returns that error.
func (c *Client) toTemporalError(ctx context.Context, err error) error {
	var (
		unavailable *serviceerror.Unavailable
		deadline    *serviceerror.DeadlineExceeded
		namespace   *serviceerror.NamespaceNotFound
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &namespace):
		return &UnreachableError{What: "Temporal", Where: c.cfg.Temporal.Address,
			Cause: fmt.Errorf("it has no namespace %s", c.cfg.Temporal.Namespace)}
	case errors.As(err, &deadline), errors.Is(err, context.DeadlineExceeded):
		return &UnreachableError{What: "Temporal", Where: c.cfg.Temporal.Address, Cause: errNoAnswer}
	case errors.As(err, &unavailable):
		return &UnreachableError{What: "Temporal", Where: c.cfg.Temporal.Address, Cause: err}
	}
	return fmt.Errorf("request to Temporal at %s: %s", c.cfg.Temporal.Address, toOneLine(err.Error()))
}

// errNoAnswer replaces "context deadline exceeded", which does not help a user.
var errNoAnswer = errors.New("no answer in time")

// hasActiveWorker reports whether a worker has polled the task queue in the last minutes.
func (c *Client) hasActiveWorker(ctx context.Context, t client.Client) (bool, error) {
	workers, err := c.listActiveWorkers(ctx, t)
	return len(workers) > 0, err
}

// listActiveWorkers returns the identities of the workers that have polled the task queue in the last minutes.
func (c *Client) listActiveWorkers(ctx context.Context, t client.Client) (workers []string, err error) {
	err = c.callTemporal(ctx, dialTimeout, func(ctx context.Context) (err error) {
		workers, err = connect.ListActiveWorkers(ctx, c.cfg, t, c.now())
		return err
	})
	if err != nil {
		return nil, c.toTemporalError(ctx, err)
	}
	return workers, nil
}

func (c *Client) newNoWorkerError(consequence string) error {
	return &NoWorkerError{TaskQueue: c.cfg.Temporal.TaskQueue, Address: c.cfg.Temporal.Address,
		Consequence: consequence}
}
