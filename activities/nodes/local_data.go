package nodes

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// localDataTimeout bounds a look at a cluster's volumes: a person waits for it.
const localDataTimeout = 40 * time.Second

// ListLocalData lists what is only on the disks of a cluster's machines. It changes nothing.
func (a *Activities) ListLocalData(ctx context.Context, ref api.Ref) (operation.LocalDataResult, error) {
	const step = "list the volumes of the machines"
	ctx, cancel := activities.WithDeadline(ctx, localDataTimeout)
	defer cancel()
	client, err := a.newKubeClient(ctx, ref)
	if err != nil {
		return operation.LocalDataResult{}, activities.StepError(ctx, step, "", err)
	}
	defer kube.CloseClient(client)
	all, err := kube.ListLocalData(ctx, client)
	if err != nil {
		return operation.LocalDataResult{}, activities.StepError(ctx, step, "", err)
	}
	return operation.LocalDataResult{Data: all[:min(len(all), operation.MaxLocalData)], Total: len(all)}, nil
}
