package computer

import (
	"cmp"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// Port is a TCP port of loopback at which skyd is to listen.
type Port struct {
	Number int
	// For is what listens there, such as Temporal.
	For string
	// Chosen: a setting names the port, so that skyd takes no other one. HowToSet names the ways to set it.
	Chosen   bool
	HowToSet string
	// OfSkyPilot: the port is that of the SkyPilot server, which outlives skyd: a program of this user there may be
	// that server. skyd starts without it.
	OfSkyPilot bool
	// Running: skyd runs now, with another port than this one.
	Running bool
	// Owner is whose program has the port, such as "ann, who runs skyd (process 12)".
	Owner string
}

// findTaken returns the ports that other programs have, with their owners.
func findTaken(ports []Port) []Port {
	var taken []Port
	for _, p := range ports {
		if !errors.Is(TryBindPort(p.Number), syscall.EADDRINUSE) || p.OfSkyPilot && !IsPortOfOtherUser(p.Number) {
			continue
		}
		p.Owner = cmp.Or(DescribePortOwner(p.Number), "another program")
		taken = append(taken, p)
	}
	return taken
}

// TryBindPort returns nil if a program may listen on a port of loopback, else why it may not.
func TryBindPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			return op.Err
		}
		return err
	}
	return l.Close()
}
