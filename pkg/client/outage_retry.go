package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// outageTimeout is how long a wait tolerates an unreachable server: skyd restarts in seconds, a computer in a minute or
// two.
const outageTimeout = 3 * time.Minute

// restartTimeout is how long a command that does not wait tolerates a restart of skyd.
const restartTimeout = 45 * time.Second

// RetryWhileUnreachable calls try again while etcd, Temporal or every worker is unreachable, as during a restart of
// skyd, and reports that to notice. After outageTimeout it returns the last error.
func (c *Client) RetryWhileUnreachable(ctx context.Context, notice func(string), try func() error) error {
	return c.retryDuringOutage(ctx, outageTimeout, isTransient, notice, try)
}

// RetryDuringRestart is RetryWhileUnreachable for commands that do not wait: it goes on for as long as a restart of
// skyd takes, and only if etcd or Temporal do not answer.
func (c *Client) RetryDuringRestart(ctx context.Context, notice func(string), try func() error) error {
	return c.retryDuringOutage(ctx, restartTimeout, isServerSilent, notice, try)
}

func (c *Client) retryDuringOutage(ctx context.Context, limit time.Duration, retried func(error) bool,
	notice func(string), try func() error) error {
	wait := newBackOff(200*time.Millisecond, 5*time.Second)
	var since time.Time
	for {
		err := try()
		if err == nil || ctx.Err() != nil || !retried(err) {
			return err
		}
		if since.IsZero() {
			since = c.now()
		}
		if waited := c.now().Sub(since); waited >= limit {
			return fmt.Errorf("%w (gave up after %s)", err, waited.Round(time.Second))
		}
		notice(fmt.Sprintf("%s, at most %s", c.newOutageVerdict(err).notice, limit))
		if err := wait.waitNext(ctx); err != nil {
			return err
		}
	}
}

// isTransient reports whether the server may come back.
func isTransient(err error) bool {
	none := new(NoWorkerError)
	return isServerSilent(err) || errors.As(err, &none)
}

// isServerSilent reports whether etcd or Temporal did not answer.
func isServerSilent(err error) bool { return isUnreachable(err) || isEtcdSilent(err) }

func isEtcdSilent(err error) bool {
	var silent *store.UnavailableError
	return errors.As(err, &silent)
}

// newProgressNotifier shows a notice with the last known state of a cluster.
func newProgressNotifier(see func(Progress), last *api.Cluster) func(string) {
	return func(notice string) { see(Progress{Cluster: last, Notice: notice}) }
}
