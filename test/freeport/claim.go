package freeport

import (
	"net"
	"strconv"
	"sync"
)

var (
	claimsMu sync.Mutex
	claims   []net.Listener // closed, and so given up, with the process
)

// claimPort reports whether this process may have a port: no other process of these tests has claimed it. A claim is a
// Unix socket in the abstract namespace, which no file outlasts (unix(7)).
func claimPort(port int) bool {
	l, err := net.Listen("unix", claimName(port)) //nolint:noctx // at once
	if err != nil {
		return false
	}
	claimsMu.Lock()
	defer claimsMu.Unlock()
	claims = append(claims, l)
	return true
}

func claimName(port int) string { return "@skyctl-test-port-" + strconv.Itoa(port) }
