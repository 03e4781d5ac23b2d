package nodes

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
)

// An API that does not answer within servingTimeout is silent: a restart of the server takes several seconds. One
// request waits for servingAttempt.
const (
	servingTimeout = 15 * time.Second
	servingAttempt = 5 * time.Second
	servingPause   = time.Second
)

// Serving says whether a cluster serves.
type Serving struct {
	// Answers: its Kubernetes API answers, if only with an error.
	Answers bool `json:"answers,omitempty"`
}

// CheckServing asks the Kubernetes API of a cluster whether it answers now. It changes nothing.
func (a *Activities) CheckServing(ctx context.Context, ref api.Ref) (Serving, error) {
	const step = "ask whether the API answers"
	client, err := a.newKubeClient(ctx, ref)
	if err != nil {
		return Serving{}, activities.StepError(ctx, step, "", err)
	}
	defer kube.CloseClient(client)
	silent := wait.PollUntilContextTimeout(ctx, servingPause, servingTimeout, true,
		func(ctx context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, servingAttempt)
			defer cancel()
			return kube.Answers(ctx, client), nil
		})
	if silent != nil { // the request may need what etcd knows of the machine
		_, err = a.Store.ReadClusterObject(ctx, ref)
	}
	return Serving{Answers: silent == nil}, activities.StepError(ctx, step, "", err)
}
