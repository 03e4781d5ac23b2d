package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/sky-shift/skyctl/pkg/client/connect"
)

// slowTimeout is how long a command waits for etcd or Temporal while it accepts connections but answers slowly, as on a
// busy computer. One that is down is reported after dialTimeout.
const slowTimeout = 2 * time.Minute

// SetNotice sets a function that is told when a server is slow. It may be called concurrently.
func (c *Client) SetNotice(notice func(string)) { c.notice = notice }

func (c *Client) noticeSlow(what, where string) {
	if c.notice != nil {
		c.notice(fmt.Sprintf("%s at %s is slow to answer; waiting at most %s", what, where, slowTimeout))
	}
}

// impatient is the key of a context whose calls of Temporal are not tried again.
type impatient struct{}

// withoutPatience returns a context for calls that are repeated anyway.
func withoutPatience(ctx context.Context) context.Context {
	return context.WithValue(ctx, impatient{}, true)
}

// callTemporal calls Temporal with a limit, and again with more time while Temporal is only slow. A call may have had
// its effect although it failed, so it must be one that can be repeated.
func (c *Client) callTemporal(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	until := c.now().Add(slowTimeout)
	for {
		limited, cancel := context.WithTimeout(ctx, limit)
		recorded, last := connect.WithLastError(limited)
		err := call(recorded)
		cancel()
		left := until.Sub(c.now())
		if err == nil || ctx.Err() != nil || !isSlow(err) || last.IsDisconnected() || left <= 0 ||
			ctx.Value(impatient{}) != nil {
			return err
		}
		c.noticeSlow("Temporal", c.cfg.Temporal.Address)
		limit = min(2*limit, left)
	}
}

// isSlow reports whether Temporal may have got a request and did not carry it out in time.
func isSlow(err error) bool {
	var (
		late *serviceerror.DeadlineExceeded
		busy *serviceerror.ResourceExhausted
		not  *serviceerror.Unavailable
	)
	return errors.As(err, &late) || errors.As(err, &busy) || errors.As(err, &not) ||
		errors.Is(err, context.DeadlineExceeded)
}

// DeferredError says that a request is recorded in etcd, and that its operation could not be started yet. A sweep
// starts it, so the request has not failed.
type DeferredError struct {
	Cluster string
	// Recorded is what is recorded of the cluster: "recorded" or "marked for deletion".
	Recorded  string
	Operation string // "provisioning" or "delete"
	Cause     error
}

func newDeferredError(cluster, recorded, operation string, cause error) error {
	return &DeferredError{Cluster: cluster, Recorded: recorded, Operation: operation, Cause: cause}
}

func (e *DeferredError) Error() string {
	return fmt.Sprintf("cluster %s is %s; its %s has not started yet (%s), so the next sweep starts it", e.Cluster,
		e.Recorded, e.Operation, toOneLine(e.Cause.Error()))
}

func (e *DeferredError) Unwrap() error { return e.Cause }

// retryStore repeats a write whose outcome may be unknown, until etcd answers or slowTimeout has passed.
func (c *Client) retryStore(ctx context.Context, write func() error) error {
	wait := newBackOff(200*time.Millisecond, 5*time.Second)
	for until := c.now().Add(slowTimeout); ; {
		err := write()
		if !isEtcdSilent(err) || ctx.Err() != nil || !c.now().Before(until) {
			return err
		}
		c.noticeSlow("etcd", strings.Join(c.cfg.Etcd.Endpoints, ", "))
		if err := wait.waitNext(ctx); err != nil {
			return err
		}
	}
}
