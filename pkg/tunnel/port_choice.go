package tunnel

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Ports of tunnels are below those that Linux uses for outgoing connections (from 32768).
const (
	firstPort = 20000
	portCount = 10000
)

// ReservePort returns the port of a cluster's tunnel. If the cluster has none, it records one that no other cluster of
// the installation has. If onThisComputer is true, the port is also free on this computer.
func ReservePort(ctx context.Context, s *store.Store, ref api.Ref, onThisComputer bool) (int, error) {
	for {
		all, err := s.ListClusters(ctx)
		if err != nil {
			return 0, fmt.Errorf("find a port for the tunnel to cluster %s: %w", ref.Name, err)
		}
		mine, others := splitPorts(all, ref)
		if mine != 0 {
			// If two clusters chose the same port concurrently, the one with the greater UID chooses again.
			if other, shared := others[mine]; !shared || ref.UID < other {
				return mine, nil
			}
		}
		port, err := choosePort(ref.UID, others, onThisComputer)
		if err != nil {
			return 0, fmt.Errorf("find a port for the tunnel to cluster %s: %w", ref.Name, err)
		}
		if _, err := s.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
			c.Status.TunnelPort = port
			return nil
		}); err != nil {
			return 0, err
		}
	}
}

// splitPorts returns the port of a cluster, and those of the others with the least UID for each.
func splitPorts(all []api.Cluster, ref api.Ref) (mine int, others map[int]string) {
	others = map[int]string{}
	for _, c := range all {
		port, uid := c.Status.TunnelPort, c.Metadata.UID
		switch first, seen := others[port]; {
		case port == 0:
		case uid == ref.UID:
			mine = port
		case !seen || uid < first:
			others[port] = uid
		}
	}
	return mine, others
}

// choosePort returns the first free port, starting at one derived from the UID so that separate installations rarely
// choose the same.
func choosePort(uid string, taken map[int]string, onThisComputer bool) (int, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid)) // never fails
	offset := int(h.Sum32() % portCount)
	for i := range portCount {
		port := firstPort + (offset+i)%portCount
		if _, others := taken[port]; !others && (!onThisComputer || isPortFree(port)) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("all ports from %d to %d are taken", firstPort, firstPort+portCount-1)
}

func isPortFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
