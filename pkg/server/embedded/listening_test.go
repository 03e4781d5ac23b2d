package embedded

import (
	"encoding/hex"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/sky-shift/skyctl/pkg/config"
)

func countRequest(c *config.Config, query string) *workflowservice.CountWorkflowExecutionsRequest {
	return &workflowservice.CountWorkflowExecutionsRequest{Namespace: c.Temporal.Namespace, Query: query}
}

// listeningAddresses returns the TCP addresses on which this process listens, from the kernel.
func listeningAddresses(t *testing.T) []*net.TCPAddr {
	t.Helper()
	sockets := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil &&
			strings.HasPrefix(target, "socket:[") {
			sockets[strings.Trim(target, "socket:[]")] = true
		}
	}
	var found []*net.TCPAddr
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(data), "\n")[1:] {
			f := strings.Fields(line)
			const listen = "0A"
			if len(f) > 9 && f[3] == listen && sockets[f[9]] {
				found = append(found, kernelAddress(t, f[1]))
			}
		}
	}
	return found
}

// kernelAddress parses "0100007F:1C41": little-endian words of four bytes, and a port.
func kernelAddress(t *testing.T, s string) *net.TCPAddr {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	ip, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for word := range slices.Chunk(ip, 4) {
		slices.Reverse(word)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return &net.TCPAddr{IP: ip, Port: int(n)}
}
