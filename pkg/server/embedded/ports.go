package embedded

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"

	"github.com/sky-shift/skyctl/pkg/config"
)

// checkPortsFree finds ports in use before any server starts: the servers would exit the process on one.
func checkPortsFree(c *config.Config) error {
	var errs []error
	for _, p := range []struct {
		what, key string
		port      int
	}{
		{"Temporal", "dev.temporalPort", c.Dev.TemporalPort},
		{"the Web UI", "dev.uiPort", c.Dev.UIPort},
		{"etcd", "dev.etcdPort", c.Dev.EtcdPort},
	} {
		if err := tryBindPort(p.port); err != nil {
			errs = append(errs, fmt.Errorf("port %d on %s, for %s, is not available (%w): stop the program "+
				"that uses it, or choose another with %s",
				p.port, config.Loopback, p.what, err, c.HowToSet(p.key)))
		}
	}
	return errors.Join(errs...)
}

func tryBindPort(port int) error {
	l, err := net.Listen("tcp", config.LoopbackAddress(port))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			return op.Err
		}
		return err
	}
	return l.Close()
}

// findInternalPorts finds n free ports for the connections between Temporal's services. They are below the range of
// outgoing connections, so that no connection takes one before it is used.
func findInternalPorts(n int, c *config.Config) ([]int, error) {
	const low, high = 20000, 32000
	taken := map[int]bool{c.Dev.TemporalPort: true, c.Dev.UIPort: true, c.Dev.EtcdPort: true}
	var ports []int
	for try := 0; len(ports) < n; try++ {
		if try == 1000 {
			return nil, fmt.Errorf("no free ports between %d and %d on %s for Temporal's own services", low, high,
				config.Loopback)
		}
		p := low + rand.IntN(high-low)
		if !taken[p] && tryBindPort(p) == nil {
			taken[p] = true
			ports = append(ports, p)
		}
	}
	return ports, nil
}
