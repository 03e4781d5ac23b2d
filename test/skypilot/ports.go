package skypilot

import (
	"net"
	"strconv"

	"github.com/sky-shift/skyctl/test/freeport"
)

// FindServerPort returns a port that a SkyPilot API server may listen on. The server needs another one besides, which
// follows from it: 50011 goes with the default of 46580.
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
