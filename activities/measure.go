package activities

import (
	"context"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// measuredAtOnce bounds the clusters that are asked at one time, measureWithin how long one may take: one that
	// hangs holds up few others, and not for long.
	measuredAtOnce = 16
	measureWithin  = 5 * time.Second
)

// MeasureAll brings the resources of every READY cluster up to date. A cluster that can't be asked keeps what was last
// measured.
func (a *Clusters) MeasureAll(ctx context.Context) error {
	all, err := a.Store.ListWithMachines(ctx)
	if err != nil && len(all) == 0 {
		return failed(ctx, "list the clusters", "", err)
	}
	var asked errgroup.Group
	asked.SetLimit(measuredAtOnce)
	for _, c := range all {
		if c.Status.Phase != api.PhaseReady {
			continue
		}
		asked.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, measureWithin)
			defer cancel()
			if err := a.refresh(ctx, &c); err != nil {
				activity.GetLogger(ctx).Warn("a cluster could not be measured", "cluster", c.Metadata.Name, "error", err)
			}
			return nil
		})
	}
	_ = asked.Wait() // none returns an error
	return failed(ctx, "measure the clusters", "", ctx.Err())
}

// refresh measures one cluster, and records what changed.
func (a *Clusters) refresh(ctx context.Context, c *api.Cluster) error {
	ref := api.Ref{Name: c.Metadata.Name, UID: c.Metadata.UID}
	resources, _, err := a.measure(ctx, ref, c)
	if err != nil {
		return err
	}
	_, err = a.Store.Update(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Phase == api.PhaseReady {
			c.Status.Resources = resources // unchanged is not written
		}
		return nil
	})
	return err
}

// measure asks a cluster, through its API, what it has in all and has left, and what runs there.
func (a *Clusters) measure(ctx context.Context, ref api.Ref, c *api.Cluster) (api.Resources, api.Versions, error) {
	kubeconfig, err := a.Store.GetSecret(ctx, ref, store.SecretKubeconfig)
	if err != nil {
		return api.Resources{}, api.Versions{}, err
	}
	client, err := apiClient(kubeconfig, c, a.Store, a.Pool)
	if err != nil {
		return api.Resources{}, api.Versions{}, err
	}
	accelerator, _, _ := strings.Cut(c.Spec.Accelerators, ":")
	return kube.Resources(ctx, client, c.Status.Machines, accelerator)
}
