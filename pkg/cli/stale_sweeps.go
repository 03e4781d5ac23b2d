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

// minClusterAge is the age at which a cluster should have been swept.
const minClusterAge = store.SweepStale

// noteStaleSweeps notes that no sweep has checked READY clusters recently, so the output may be out of date.
func (a *app) noteStaleSweeps(ctx context.Context, ops *client.Client, clusters []api.Cluster) {
	ready := func(c api.Cluster) bool {
		return c.Status.Phase == api.PhaseReady && a.env.Now().Sub(c.Metadata.CreatedAt) > minClusterAge
	}
	if !slices.ContainsFunc(clusters, ready) || a.worker != nil && a.worker.level == 0 {
		return // an older skyd does not record sweeps
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return
	}
	if lately, err := s.HasRecentSweep(ctx); err != nil || lately {
		return // an earlier read has reported that etcd does not answer
	}
	fmt.Fprintf(a.notes(), "Note: no sweep has checked the clusters for %d minutes, so the output may be out of date. "+
		"Check skyctl server status; if sweeps are paused, run skyctl resume reconcile\n",
		int(store.SweepStale/time.Minute))
}
