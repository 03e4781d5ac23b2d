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

// RetryWhileUnreachable calls try again while etcd, Temporal or every worker is unreachable, as during a restart of
// skyd, and reports that to notice. After outageTimeout it returns the last error.
func (c *Client) RetryWhileUnreachable(ctx context.Context, notice func(string), try func() error) error {
	wait := newBackOff(200*time.Millisecond, 5*time.Second)
	var since time.Time
	for {
		err := try()
		if err == nil || ctx.Err() != nil || !isTransient(err) {
			return err
		}
		if since.IsZero() {
			since = c.now()
		}
		if waited := c.now().Sub(since); waited >= outageTimeout {
			return fmt.Errorf("%w (gave up after %s)", err, waited.Round(time.Second))
		}
		notice(fmt.Sprintf("%s, at most %s", c.newOutageVerdict(err).notice, outageTimeout))
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
