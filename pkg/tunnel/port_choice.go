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

// The ports that tunnels get lie below those that Linux gives to outgoing connections (from 32768).
const (
	firstPort = 20000
	portCount = 10000
)

// ReservePort gives a cluster the port of its tunnel, and returns it: the one that it has, or one that no other cluster
// of the installation has, and that nobody uses on this machine where here says that the tunnel will be on this one.
func ReservePort(ctx context.Context, s *store.Store, ref api.Ref, here bool) (int, error) {
	for {
		all, err := s.ListClusters(ctx)
		if err != nil {
			return 0, fmt.Errorf("find a port for the tunnel to cluster %s: %w", ref.Name, err)
		}
		mine, others := splitPorts(all, ref)
		if mine != 0 {
			// Two that chose at once both see it here, and the one that comes later by its UID gives way.
			if other, shared := others[mine]; !shared || ref.UID < other {
				return mine, nil
			}
		}
		port, err := choosePort(ref.UID, others, here)
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

// splitPorts tells the port of a cluster from those of the others, which it gives with the least UID that has each.
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

// choosePort takes the first free port from a place on that the UID gives, so that installations that know nothing of
// each other seldom want the same.
func choosePort(uid string, taken map[int]string, here bool) (int, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid)) // never fails
	begin := int(h.Sum32() % portCount)
	for i := range portCount {
		port := firstPort + (begin+i)%portCount
		if _, others := taken[port]; !others && (!here || isPortFree(port)) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("all of %d to %d are taken", firstPort, firstPort+portCount-1)
}

func isPortFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
