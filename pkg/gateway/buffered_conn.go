package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"slices"
)

// bufferedConn is a connection whose first bytes were read already, together with an HTTP message.
type bufferedConn struct {
	net.Conn
	read io.Reader
}

// newBufferedConn returns a connection that begins with what r holds. It reads the rest itself: the reader of an HTTP
// server ends the request's context at the end of the input, when the other direction still goes on.
func newBufferedConn(c net.Conn, r *bufio.Reader) *bufferedConn {
	first, _ := r.Peek(r.Buffered()) // it has these
	return &bufferedConn{Conn: c, read: io.MultiReader(bytes.NewReader(slices.Clone(first)), c)}
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.read.Read(p) }

// CloseWrite ends the outgoing direction; the other side can still send.
func (c *bufferedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
