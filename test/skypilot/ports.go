package skypilot

import "github.com/sky-shift/skyctl/test/freeport"

// FindServerPort returns a port for a SkyPilot API server. The server needs a second port, which it derives from the
// first: 50011 for the default of 46580. The kernel gives such ports to outgoing connections, so this process keeps the
// second one reserved until it exits.
func FindServerPort() (int, error) {
	return freeport.FindWhere(func(port int) bool { return freeport.Reserve(queuePortFor(port)) == nil })
}

func queuePortFor(port int) int { return 50000 + (11+port-46580+10000)%10000 }
