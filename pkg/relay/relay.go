// Package relay passes on bytes between two connections.
package relay

import (
	"context"
	"io"
	"net"
	"sync"
)

// Streams copies data in both directions, until both are done or ctx ends. The end of one direction is passed on, and
// the other one goes on. The caller closes the connections.
func Streams(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		a.Close()
		b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		half, ok := to.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			// The connection is broken, so the rest would not arrive.
			a.Close()
			b.Close()
		}
	}
	both.Go(func() { carry(a, b) })
	both.Go(func() { carry(b, a) })
	both.Wait()
}
