package dockersim

import (
	"bytes"
	"context"
	"net/http"
	"sync"
)

// Cutter is a proxy between a process and an engine. It kills the process at one of its calls: from then on no call
// reaches the engine.
type Cutter struct {
	// Engine answers the calls until then.
	Engine http.Handler
	// At is the number of the call at which Cutter kills the process; 0 is never.
	At int
	// After passes that last call on to the engine first.
	After bool
	// Kill kills the process.
	Kill func()

	mu    sync.Mutex
	calls []string
	dead  bool
}

// RecordedCalls returns the calls so far, in words.
func (c *Cutter) RecordedCalls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.calls...)
}

// ServeHTTP passes a call on, or cuts it off.
func (c *Cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	dead := c.dead
	if !dead {
		c.calls = append(c.calls, r.Method+" "+versionPrefix.ReplaceAllString(r.URL.Path, "/"))
		c.dead = len(c.calls) == c.At
	}
	killed := !dead && c.dead
	c.mu.Unlock()
	switch {
	case dead:
	case !killed:
		c.Engine.ServeHTTP(w, r)
		return
	case c.After:
		c.Engine.ServeHTTP(&discardedResponse{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
	}
	if killed && c.Kill != nil {
		c.Kill()
	}
	panic(http.ErrAbortHandler) // the connection breaks
}

// discardedResponse is a response that is not sent.
type discardedResponse struct {
	header http.Header
	bytes.Buffer
}

func (u *discardedResponse) Header() http.Header { return u.header }
func (u *discardedResponse) WriteHeader(int)     {}
