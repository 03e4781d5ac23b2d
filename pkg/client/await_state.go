package client

import (
	"context"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// StateGoal is a state of a cluster that a person waits for, whatever brings it about.
type StateGoal struct {
	// Name says it for people: "READY".
	Name string
	// Judge says whether the cluster is in that state, or why it is no use to wait for it.
	Judge func(*api.Cluster) (done bool, err error)
	// Gone is the error if the cluster is deleted; nil if that is the goal.
	Gone error
}

// AwaitState follows a cluster until it is in a state. Unlike other waits it goes on while no operation runs, because
// somebody may start one. The error is an OperationFailedError if a create or a delete has failed, and a
// WaitTimeoutError after limit, if that is above 0. The wait survives an outage of the servers.
func (c *Client) AwaitState(ctx context.Context, cl *api.Cluster, goal StateGoal, limit time.Duration,
	see func(Progress)) (reached *api.Cluster, err error) {
	name := cl.Metadata.Name
	g := waitGoal{name: goal.Name, operation: "waiting for", gone: goal.Gone, judge: goal.Judge, outlastsFailures: true,
		explainIdle: func(cl *api.Cluster) string {
			switch cl.Status.Phase {
			case api.PhaseStopped:
				return "waiting: the cluster is stopped; to start it: skyctl start cluster " + name
			case api.PhaseReady:
				return "waiting: no operation is running"
			}
			return "" // its operation has failed
		}}
	err = c.RetryWhileUnreachable(ctx, newProgressNotifier(see, cl), func() (err error) {
		reached, err = c.followCluster(ctx, cl.Ref(), limit, g, see)
		return err
	})
	return reached, err
}
