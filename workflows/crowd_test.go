package workflows

import (
	"sync"
	"time"
)

// crowd counts how many are in an activity at once. One that gathers keeps the first to come until as many are there,
// so that a bound above that shows.
type crowd struct {
	mu        sync.Mutex
	now, most int
	awaited   int
	full      chan struct{}
}

// gather makes the crowd wait for n.
func (c *crowd) gather(n int) { c.awaited, c.full = n, make(chan struct{}) }

// enter joins the crowd; what it returns leaves it.
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
		case <-time.After(10 * time.Second): // fewer come: the count tells
		}
		time.Sleep(20 * time.Millisecond) // room for one too many to come in as well
	}
	return func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}
}
