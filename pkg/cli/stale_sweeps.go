package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

// minClusterAge is how long a cluster has to have been READY before it should have been swept.
const minClusterAge = store.SweepStale

// noteStaleSweeps says beside READY clusters that no sweep has looked at them lately: they are shown as they were then.
func (a *app) noteStaleSweeps(ctx context.Context, ops *client.Client, clusters []api.Cluster) {
	ready := func(c api.Cluster) bool {
		return c.Status.Phase == api.PhaseReady && a.env.Now().Sub(c.Metadata.CreatedAt) > minClusterAge
	}
	if !slices.ContainsFunc(clusters, ready) || a.worker != nil && a.worker.level == 0 {
		return // a skyd of before records no sweeps
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return
	}
	if lately, err := s.HasRecentSweep(ctx); err != nil || lately {
		return // that etcd does not answer is told by what was asked before
	}
	fmt.Fprintf(a.env.Err, "Note: no sweep has looked at the clusters for %d minutes, so what is shown may be out "+
		"of date: see skyctl server status, "+
		"and whether they are paused (skyctl resume reconcile)\n", int(store.SweepStale/time.Minute))
}
