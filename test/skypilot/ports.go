package skypilot

import (
	"net"
	"strconv"
)

// FindFreePort is a port that a SkyPilot API server may listen on now. The server needs another one besides, which
// follows from it: 50011 goes with the default of 46580.
func FindFreePort() (int, error) {
	for {
		l, err := net.Listen("tcp", loopback+":0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		beside, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(queuePortFor(port))))
		l.Close()
		if err != nil {
			continue
		}
		beside.Close()
		return port, nil
	}
}

func queuePortFor(port int) int { return 50000 + (11+port-46580+10000)%10000 }

func findFreePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", loopback+":0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
