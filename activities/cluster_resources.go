package activities

import (
	"context"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
)

// measureCluster asks a cluster, through its API, what it has in all and has left, and what runs there.
func (a *Clusters) measureCluster(ctx context.Context, c *api.Cluster) (api.Resources, api.Versions, error) {
	client, err := newClusterClient(ctx, c, a.Store, a.Pool)
	if err != nil {
		return api.Resources{}, api.Versions{}, err
	}
	accelerator, _, _ := strings.Cut(c.Spec.Accelerators, ":")
	seen, err := kube.ObserveCluster(ctx, client, c.Status.Machines, accelerator)
	if err == nil {
		err = seen.Unmeasured
	}
	return seen.Resources, seen.Versions, err
}
