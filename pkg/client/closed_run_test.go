package client

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// silentOnOutcomes is a Temporal that does not tell how a run ended.
type silentOnOutcomes struct{ client.Client }

func (silentOnOutcomes) GetWorkflow(context.Context, string, string) client.WorkflowRun {
	return silentRun{}
}

type silentRun struct{ client.WorkflowRun }

func (silentRun) Get(context.Context, any) error { return context.DeadlineExceeded }

func TestRunWhoseEndIsNotToldHasNotFailed(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("untold", skydstub.Behavior{Provision: func(context.Context, *skydstub.World,
		operation.ProvisionInput) error {
		return errors.New("out of luck")
	}})
	c := newClient(t)
	created, err := c.CreateCluster(t.Context(), newWantedCluster("untold"), CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the run is closed", func() bool { return !latestRunOf(t, c, "untold").open })
	goal := waitGoal{judge: func(*api.Cluster) (bool, error) { return false, nil }}
	known := c.temporal
	c.temporal = silentOnOutcomes{known}
	v := c.checkOperation(withoutPatience(t.Context()), created.Cluster.Ref(), goal)
	if v.done || !strings.Contains(v.notice, "Temporal at ") {
		t.Errorf("got %+v", v)
	}
	c.temporal = known
	if v := c.checkOperation(t.Context(), created.Cluster.Ref(), goal); !v.done || !strings.Contains(v.err.Error(),
		"out of luck") {
		t.Errorf("got %+v", v)
	}
}
