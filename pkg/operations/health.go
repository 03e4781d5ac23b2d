package operations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/store"
)

// healthPatience bounds Health as a whole: somebody looks at an empty screen meanwhile. It is a little more than etcd is
// given to answer a connection.
const healthPatience = 2500 * time.Millisecond

// Part is one of the servers that operations need.
type Part struct {
	Name  string
	Where string
	Err   error // nil: it answers
}

// Problem says what is wrong with a part, for who sees its name and place beside it.
func (p Part) Problem() string {
	var u *UnreachableError
	switch {
	case p.Err == nil:
		return ""
	case !errors.As(p.Err, &u) || u.What != p.Name:
		return oneLine(p.Err.Error())
	case u.Cause == nil:
		return "does not answer"
	}
	return "does not answer: " + strings.ReplaceAll(bare(u.Cause.Error()), "dial tcp "+p.Where+": ", "")
}

// Health asks etcd, Temporal and the task queue at once whether they answer, and takes what is silent for a few seconds for
// one that does not.
func (c *Client) Health(ctx context.Context) []Part {
	soon, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	etcd := make(chan Part, 1)
	go func() { etcd <- c.etcdHealth(ctx, soon) }()
	rest := c.temporalHealth(ctx, soon)
	return append([]Part{<-etcd}, rest...)
}

func (c *Client) etcdHealth(ctx, soon context.Context) Part {
	own := New(c.cfg, c.now) // a client makes one connection at a time
	defer own.Close()
	s, err := own.Store(soon)
	if err == nil {
		_, err = s.Installation(soon)
	}
	return judged(ctx, "etcd", strings.Join(c.cfg.Etcd.Endpoints, ", "), err)
}

func (c *Client) temporalHealth(ctx, soon context.Context) []Part {
	const name = "Temporal"
	where := c.cfg.Temporal.Address
	t, err := c.Temporal(soon)
	if err != nil {
		return []Part{judged(ctx, name, where, err)}
	}
	listening, err := c.workersListening(soon, t)
	if err != nil {
		return []Part{judged(ctx, name, where, err)}
	}
	parts := []Part{{Name: name, Where: where}, {Name: "worker", Where: "task queue " + c.cfg.Temporal.TaskQueue}}
	if !listening {
		parts[1].Err = c.noWorker("")
	}
	return parts
}

// judged is a part with its error. Whatever ran out of time is silent; ctx is the caller's, whose end is not the part's.
func judged(ctx context.Context, name, where string, err error) Part {
	var silent *store.UnavailableError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = &UnreachableError{What: name, Where: where, Cause: fmt.Errorf("no answer within %v", healthPatience)}
	case errors.As(err, &silent):
		err = &UnreachableError{What: name, Where: where, Cause: silent.Cause}
	}
	return Part{Name: name, Where: where, Err: err}
}
