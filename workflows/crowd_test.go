package workflows

import (
	"sync"
	"time"
)

// crowd counts how many calls of an activity run at once. After gather, the first calls wait until n have arrived, so
// that a higher limit is noticed.
type crowd struct {
	mu        sync.Mutex
	now, most int
	awaited   int
	full      chan struct{}
}

// gather makes calls wait until n have arrived.
func (c *crowd) gather(n int) { c.awaited, c.full = n, make(chan struct{}) }

// enter adds a call; the returned function removes it.
func (c *crowd) enter() (leave func()) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	if c.now == c.awaited {
		select {
		case <-c.full:
		default:
			close(c.full)
		}
	}
	c.mu.Unlock()
	if c.awaited > 0 {
		select {
		case <-c.full:
		case <-time.After(patience): // fewer come: the count tells
		}
		time.Sleep(20 * time.Millisecond) // room for one too many to come in as well
	}
	return func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}
}
