package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// sshVersion is how an SSH server begins, before the client says anything (RFC 4253, 4.2).
	sshVersion = "SSH-"
	// sshVersionTimeout bounds the wait for it, on a machine that is busy.
	sshVersionTimeout = 15 * time.Second
)

// awaitSSHVersion waits until what was connected to shows that it is an SSH server, and returns the connection with all
// that it said. Who can write to etcd can record any address: the gateway leads to nothing but SSH servers there, so
// not to a cloud's metadata service, for example, with the worker's own credentials.
func awaitSSHVersion(ctx context.Context, c net.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sshVersionTimeout,
		fmt.Errorf("its SSH server says nothing within %s", sshVersionTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() }) // one through a bastion ignores deadlines
	reader := bufio.NewReader(c)
	first, err := reader.Peek(len(sshVersion))
	switch {
	case !stop():
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("it hung up before its SSH server said anything: %w", err)
	case string(first) != sshVersion:
		return nil, errors.New("what answers there is no SSH server")
	}
	return newBufferedConn(c, reader), nil
}
