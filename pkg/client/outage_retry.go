package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// outageTimeout is how long a wait goes on while a server that it needs is away: skyd takes some seconds to
// restart, a machine a minute or two.
const outageTimeout = 3 * time.Minute

// RetryWhileUnreachable asks again while etcd, Temporal or every worker is away, as they are while skyd restarts, and
// says so to notice. It is for waits that others would have to begin anew; its error is the last answer, with how long
// it waited for a better one.
func (c *Client) RetryWhileUnreachable(ctx context.Context, notice func(string), ask func() error) error {
	return c.retryWhileUnreachable(ctx, notice, ask)
}

func (c *Client) retryWhileUnreachable(ctx context.Context, notice func(string), ask func() error) error {
	wait := newBackOff(200*time.Millisecond, 5*time.Second)
	var since time.Time
	for {
		err := ask()
		if err == nil || ctx.Err() != nil || !isTransient(err) {
			return err
		}
		if since.IsZero() {
			since = c.now()
		}
		if waited := c.now().Sub(since); waited >= outageTimeout {
			return fmt.Errorf("%w; it was waited for %s", err, waited.Round(time.Second))
		}
		notice(fmt.Sprintf("%s, for %s at most", c.newOutageVerdict(err).notice, outageTimeout))
		if err := wait.waitNext(ctx); err != nil {
			return err
		}
	}
}

// isTransient says that an error is that of a server which may come back.
func isTransient(err error) bool {
	etcd, none := new(store.UnavailableError), new(NoWorkerError)
	return isUnreachable(err) || errors.As(err, &etcd) || errors.As(err, &none)
}

// newProgressNotifier shows a notice beside a cluster as it was last known.
func newProgressNotifier(see func(Progress), last *api.Cluster) func(string) {
	return func(notice string) { see(Progress{Cluster: last, Notice: notice}) }
}
