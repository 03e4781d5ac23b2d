package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/store"
)

// usualHealthTimeout bounds CheckHealth, because a person waits for it. It is a little longer than the time that etcd
// gets to answer a connection.
const usualHealthTimeout = 2500 * time.Millisecond

// ServerHealth is the state of a server that operations need.
type ServerHealth struct {
	Name  string
	Where string
	Err   error // nil: it answers
}

// ProblemText says what is wrong, without the name and address of the server.
func (p ServerHealth) ProblemText() string {
	var u *UnreachableError
	switch {
	case p.Err == nil:
		return ""
	case !errors.As(p.Err, &u) || u.What != p.Name:
		return toOneLine(p.Err.Error())
	case u.Cause == nil:
		return "does not answer"
	}
	return "does not answer: " + strings.ReplaceAll(trimTransportPrefix(u.Cause.Error()), "dial tcp "+p.Where+": ", "")
}

// CheckHealth checks concurrently whether etcd, Temporal and a worker answer within a few seconds.
func (c *Client) CheckHealth(ctx context.Context) []ServerHealth {
	soon, cancel := context.WithTimeout(ctx, c.healthTimeout)
	defer cancel()
	etcd := make(chan ServerHealth, 1)
	go func() { etcd <- c.checkEtcdHealth(ctx, soon) }()
	rest := c.checkTemporalHealth(ctx, soon)
	return append([]ServerHealth{<-etcd}, rest...)
}

// WorkerProcess is a process that runs operations.
type WorkerProcess = connect.WorkerProcess

// ListWorkers returns the workers of the task queue, or an error if Temporal does not answer within a few seconds.
func (c *Client) ListWorkers(ctx context.Context) ([]WorkerProcess, error) {
	soon, cancel := context.WithTimeout(ctx, c.healthTimeout)
	defer cancel()
	t, err := c.ConnectTemporal(soon)
	var identities []string
	if err == nil {
		identities, err = c.listActiveWorkers(soon, t)
	}
	if err != nil {
		return nil, c.newServerHealth(ctx, "Temporal", c.cfg.Temporal.Address, err).Err
	}
	var workers []WorkerProcess
	for _, identity := range identities {
		w, ok := connect.ParseWorkerIdentity(identity)
		if !ok {
			w.Host = identity
		}
		workers = append(workers, w)
	}
	return workers, nil
}

func (c *Client) checkEtcdHealth(ctx, soon context.Context) ServerHealth {
	own := New(c.cfg, c.now) // a client opens one connection at a time
	defer own.Close()
	s, err := own.ConnectStore(soon)
	if err == nil {
		_, err = s.EnsureInstallationID(soon)
	}
	return c.newServerHealth(ctx, "etcd", strings.Join(c.cfg.Etcd.Endpoints, ", "), err)
}

func (c *Client) checkTemporalHealth(ctx, soon context.Context) []ServerHealth {
	const name = "Temporal"
	where := c.cfg.Temporal.Address
	t, err := c.ConnectTemporal(soon)
	if err != nil {
		return []ServerHealth{c.newServerHealth(ctx, name, where, err)}
	}
	listening, err := c.hasActiveWorker(soon, t)
	if err != nil {
		return []ServerHealth{c.newServerHealth(ctx, name, where, err)}
	}
	parts := []ServerHealth{{Name: name, Where: where},
		{Name: "worker", Where: "task queue " + c.cfg.Temporal.TaskQueue}}
	if !listening {
		parts[1].Err = c.newNoWorkerError("")
	}
	return parts
}

// newServerHealth returns the ServerHealth for an error. A timeout means that the server does not answer, unless ctx,
// the context of the caller, has ended.
func (c *Client) newServerHealth(ctx context.Context, name, where string, err error) ServerHealth {
	var silent *store.UnavailableError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = &UnreachableError{What: name, Where: where, Cause: fmt.Errorf("no answer within %v", c.healthTimeout)}
	case errors.As(err, &silent):
		err = &UnreachableError{What: name, Where: where, Cause: silent.Cause}
	}
	return ServerHealth{Name: name, Where: where, Err: err}
}
