package skypilot

import (
	"net"
	"strconv"

	"github.com/sky-shift/skyctl/test/freeport"
)

// FindServerPort returns a port for a SkyPilot API server. The server needs a second port, which it derives from the
// first: 50011 for the default of 46580.
func FindServerPort() (int, error) {
	return freeport.FindWhere(func(port int) bool {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(queuePortFor(port))))
		if err != nil {
			return false
		}
		return l.Close() == nil
	})
}

func queuePortFor(port int) int { return 50000 + (11+port-46580+10000)%10000 }
