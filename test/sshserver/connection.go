package sshserver

import (
	"io"
	"net"
	"sync/atomic"
)

// countedConn counts incoming bytes, and obeys Freeze.
type countedConn struct {
	net.Conn
	s    *Server
	came atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.awaitThaw()
	n, err := c.Conn.Read(p)
	c.awaitThaw()
	if limit := c.s.CutAfter.Load(); limit > 0 && c.came.Add(int64(n)) > limit {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.awaitThaw()
	return c.Conn.Write(p)
}

func (c *countedConn) awaitThaw() {
	c.s.mu.Lock()
	frozen := c.s.frozen
	c.s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}
