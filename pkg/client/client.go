// Package client is the client's side of what is done to clusters: it writes what is wanted to etcd, starts, cancels
// and follows the workflows that do it, and knows which of them may follow on which. It holds no server and asks no
// cloud.
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

// dialTimeout is how long a server may take to answer at all before it counts as out of reach.
const dialTimeout = 5 * time.Second

// Client reaches etcd and Temporal, each when it is first needed. Its methods may be called at once from several
// places.
type Client struct {
	cfg *config.Config
	now func() time.Time
	// checkEvery is how often a wait looks whether anybody works on what it waits for.
	checkEvery time.Duration
	// sweepEvery is how often a wait for sync looks again at drift that takes its time.
	sweepEvery time.Duration

	mu       sync.Mutex
	store    *store.Store
	temporal client.Client
}

// New makes a client; nothing is connected yet.
func New(cfg *config.Config, now func() time.Time) *Client {
	return &Client{cfg: cfg, now: now, checkEvery: 5 * time.Second, sweepEvery: 10 * time.Second}
}

// Close ends the connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.temporal != nil {
		c.temporal.Close()
	}
	if c.store != nil {
		_ = c.store.Close() // nothing is written through it any more
	}
}

// ConnectStore connects to etcd. Its error is a *store.UnavailableError where etcd does not answer.
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

// openStore connects to etcd. The key of secrets is nil where none are read.
func (c *Client) openStore(ctx context.Context, key []byte) (*store.Store, error) {
	s, err := connect.OpenStore(ctx, c.cfg, key)
	var silent *store.UnavailableError
	if err != nil && ctx.Err() == nil && !errors.As(err, &silent) { // a certificate that can't be read, say
		err = &UnreachableError{What: "etcd", Where: strings.Join(c.cfg.Etcd.Endpoints, ", "), Cause: err}
	}
	return s, err
}

// ConnectTemporal connects to Temporal. Its error is an UnreachableError where it does not answer.
func (c *Client) ConnectTemporal(ctx context.Context) (client.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.temporal != nil {
		return c.temporal, nil
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	tc, err := connect.DialTemporal(dialCtx, c.cfg, "skyctl", nil)
	if err != nil {
		told := c.toTemporalError(ctx, err)
		if ctx.Err() == nil && !isUnreachable(told) { // a certificate that can't be read, say
			told = &UnreachableError{What: "Temporal", Where: c.cfg.Temporal.Address, Cause: err}
		}
		return nil, told
	}
	c.temporal = tc
	return tc, nil
}

// connectServers connects to both, so that nothing is written to the one while the other is down.
func (c *Client) connectServers(ctx context.Context) (*store.Store, client.Client, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	t, err := c.ConnectTemporal(ctx)
	return s, t, err
}

// toTemporalError names Temporal and its address where it did not answer; ctx is the caller's, whose end is not
// Temporal's.
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
	case errors.As(err, &unavailable), errors.As(err, &deadline), errors.Is(err, context.DeadlineExceeded):
		return &UnreachableError{What: "Temporal", Where: c.cfg.Temporal.Address, Cause: err}
	}
	return fmt.Errorf("asking Temporal at %s: %s", c.cfg.Temporal.Address, toOneLine(err.Error()))
}

// hasActiveWorker says whether anybody has asked the task queue for work within the last minutes.
func (c *Client) hasActiveWorker(ctx context.Context, t client.Client) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	workers, err := connect.ListActiveWorkers(ctx, c.cfg, t, c.now())
	if err != nil {
		return false, c.toTemporalError(ctx, err)
	}
	return len(workers) > 0, nil
}

func (c *Client) newNoWorkerError(left string) error {
	return &NoWorkerError{TaskQueue: c.cfg.Temporal.TaskQueue, Address: c.cfg.Temporal.Address, Left: left}
}
