package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
)

// answerLimit is far longer than an answer takes on a busy machine.
const answerLimit = 10 * time.Second

// steadyClient sends requests to a server all the time, and repeats none: what fails is lost.
type steadyClient struct {
	server string
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	answered int
	lost     []string
}

// startClient waits for a first answer. The client stops with the test at the latest.
func startClient(t *testing.T, server string, pause time.Duration, send func(context.Context) error) *steadyClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &steadyClient{server: server, cancel: cancel}
	t.Cleanup(c.stop)
	eventually.Succeeds(t, server+" answers", func() error { return sendOnce(ctx, send) })
	c.done.Go(func() {
		for ticks := time.Tick(pause); ; <-ticks {
			sent := time.Now()
			err := sendOnce(ctx, send)
			if ctx.Err() != nil {
				return
			}
			c.record(sent, err)
		}
	})
	return c
}

func sendOnce(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return send(ctx)
}

func (c *steadyClient) stop() {
	c.cancel()
	c.done.Wait()
}

func (c *steadyClient) record(sent time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.answered++
		return
	}
	c.lost = append(c.lost, fmt.Sprintf("sent at %s: %v", sent.Format(time.TimeOnly), err))
}

// checkAnswered fails the test if a request was lost since the last check, or if there was hardly any.
func (c *steadyClient) checkAnswered(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lost) > 0 {
		t.Errorf("%s: %d requests were lost, %d answered:\n%s", c.server, len(c.lost), c.answered,
			strings.Join(c.lost[:min(len(c.lost), 20)], "\n"))
	}
	if c.answered < 10 {
		t.Errorf("%s: %d requests were answered: too few to prove anything", c.server, c.answered)
	}
	t.Logf("%s: %d requests were answered", c.server, c.answered)
	c.answered, c.lost = 0, nil
}
