package tunnel

import (
	"context"
	"log/slog"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

// retryInterval is how long to wait before a retry: etcd does not answer, or another program has the port.
const retryInterval = 2 * time.Second

// KeepOpen keeps the tunnels of all clusters open until ctx ends, across restarts of etcd.
func KeepOpen(ctx context.Context, s *store.Store, pool *remote.Pool, log *slog.Logger) {
	k := &portKeeper{store: s, pool: pool, log: log, open: map[string]*keptPort{}}
	defer k.closeAll()
	for ctx.Err() == nil {
		events, err := s.WatchClusters(ctx, "")
		if err != nil {
			log.Warn("tunnels: reading the clusters failed", "error", err)
			sleepContext(ctx, retryInterval)
			continue
		}
		k.followEvents(ctx, events)
	}
}

// portKeeper has the open tunnels by the UID of their cluster.
type portKeeper struct {
	store *store.Store
	pool  *remote.Pool
	log   *slog.Logger
	open  map[string]*keptPort
}

// keptPort is a port that should be open; its tunnel is nil while the port cannot be opened.
type keptPort struct {
	ref    api.Ref
	port   int
	tunnel *Tunnel
	// logged is the last error that was logged.
	logged string
}

func (k *portKeeper) followEvents(ctx context.Context, events <-chan store.ClusterChange) {
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			port := e.Cluster.Status.TunnelPort
			if e.Type == store.ClusterDeleted {
				port = 0
			}
			k.ensurePort(e.Cluster.Ref(), port)
		case <-retry.C:
			for _, t := range k.open {
				k.tryOpen(t)
			}
		case <-ctx.Done():
			return
		}
	}
}

// ensurePort opens the port of a cluster, and closes its earlier one; 0 opens none.
func (k *portKeeper) ensurePort(ref api.Ref, port int) {
	t := k.open[ref.UID]
	if t != nil && t.port == port {
		return
	}
	if t != nil {
		k.closePort(t)
	}
	if port != 0 {
		t = &keptPort{ref: ref, port: port}
		k.open[ref.UID] = t
		k.tryOpen(t)
	}
}

func (k *portKeeper) tryOpen(t *keptPort) {
	if t.tunnel != nil {
		return
	}
	var err error
	if t.tunnel, err = Open(k.store, k.pool, t.ref, t.port, k.logFailure); err == nil {
		k.log.Info("tunnel open", "cluster", t.ref.Name, "port", t.port)
	} else if err.Error() != t.logged {
		t.logged = err.Error()
		k.log.Error("opening a tunnel failed; skyctl tunnel can open it at another port", "error", err)
	}
}

func (k *portKeeper) logFailure(err error) {
	k.log.Warn("failed to connect to a Kubernetes API", "error", err)
}

func (k *portKeeper) closePort(t *keptPort) {
	delete(k.open, t.ref.UID)
	if t.tunnel != nil {
		if err := t.tunnel.Close(); err != nil {
			k.log.Warn("closing a tunnel", "cluster", t.ref.Name, "error", err)
		}
	}
}

func (k *portKeeper) closeAll() {
	for _, t := range k.open {
		k.closePort(t)
	}
}

func sleepContext(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
