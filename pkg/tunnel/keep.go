package tunnel

import (
	"context"
	"log/slog"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// again is how long to wait before what failed is tried again: etcd that does not answer, a port that somebody else has.
const again = 2 * time.Second

// Keep has every cluster's port open until ctx ends: from when it has one until it is forgotten, across restarts of etcd.
func Keep(ctx context.Context, s *store.Store, pool *remote.Pool, log *slog.Logger) {
	k := &keeper{store: s, pool: pool, log: log, open: map[string]*kept{}}
	defer k.closeAll()
	for ctx.Err() == nil {
		events, err := s.Watch(ctx, "")
		if err != nil {
			log.Warn("tunnels: the clusters can't be read", "error", err)
			sleep(ctx, again)
			continue
		}
		k.follow(ctx, events)
	}
}

// keeper holds the tunnels, by the UID of their cluster.
type keeper struct {
	store *store.Store
	pool  *remote.Pool
	log   *slog.Logger
	open  map[string]*kept
}

// kept is a port that is to be open; its tunnel is nil while it can't be had.
type kept struct {
	ref    api.Ref
	port   int
	tunnel *Tunnel
	said   string
}

func (k *keeper) follow(ctx context.Context, events <-chan store.Event) {
	retry := time.NewTicker(again)
	defer retry.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			port := e.Cluster.Status.TunnelPort
			if e.Type == store.Delete {
				port = 0
			}
			k.want(e.Cluster.Ref(), port)
		case <-retry.C:
			for _, t := range k.open {
				k.try(t)
			}
		case <-ctx.Done():
			return
		}
	}
}

// want makes the port of a cluster the one that is open for it; 0 is none.
func (k *keeper) want(ref api.Ref, port int) {
	t := k.open[ref.UID]
	if t != nil && t.port == port {
		return
	}
	if t != nil {
		k.close(t)
	}
	if port != 0 {
		t = &kept{ref: ref, port: port}
		k.open[ref.UID] = t
		k.try(t)
	}
}

func (k *keeper) try(t *kept) {
	if t.tunnel != nil {
		return
	}
	var err error
	if t.tunnel, err = Open(k.store, k.pool, t.ref, t.port, k.failed); err == nil {
		k.log.Info("tunnel open", "cluster", t.ref.Name, "port", t.port)
	} else if err.Error() != t.said {
		t.said = err.Error()
		k.log.Error("a tunnel can't be kept open; skyctl tunnel can open it at another port", "error", err)
	}
}

func (k *keeper) failed(err error) {
	k.log.Warn("a connection to a Kubernetes API did not come about", "error", err)
}

func (k *keeper) close(t *kept) {
	delete(k.open, t.ref.UID)
	if t.tunnel != nil {
		if err := t.tunnel.Close(); err != nil {
			k.log.Warn("closing a tunnel", "cluster", t.ref.Name, "error", err)
		}
	}
}

func (k *keeper) closeAll() {
	for _, t := range k.open {
		k.close(t)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
