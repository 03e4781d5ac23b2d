package workflows

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities/observe"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// runSweep runs a sweep of more clusters than fit into one batch. The first batch fails and, if the test requests it,
// so does the search for orphans.
func runSweep(t *testing.T, in operation.SweepInput, orphansFail bool) (operation.SweepResult, error) {
	t.Helper()
	env := newEnvironment()
	a := &observe.Activities{}
	env.RegisterActivity(a)
	names := make([]string, batchSize+1)
	for i := range names {
		names[i] = fmt.Sprintf("c%03d", i)
	}
	refuse := func(step, message string) error { // as activities do
		return temporal.NewApplicationErrorWithOptions(step+": "+message, "Refused", temporal.ApplicationErrorOptions{
			NonRetryable: true, Details: []any{api.Failure{Step: step, Reason: "Refused", Message: message}},
		})
	}
	env.OnActivity(a.ListClusters, mock.Anything, in.Cluster).Return(names, nil)
	env.OnActivity(a.LookAt, mock.Anything, mock.Anything).Return(func(_ context.Context,
		in observe.LookAtInput) ([]operation.DriftedCluster, error) {
		if len(in.Clusters) == batchSize {
			return nil, refuse("observe the clusters", "etcd is away")
		}
		return []operation.DriftedCluster{{Cluster: in.Clusters[0]}}, nil
	})
	env.OnActivity(a.FindOrphans, mock.Anything).Return(func(context.Context) (operation.OrphansResult, error) {
		if orphansFail {
			return operation.OrphansResult{}, refuse("look for orphans", "no")
		}
		return operation.OrphansResult{Orphans: []api.Orphan{{Name: "sky-old-0"}}}, nil
	}).Maybe()
	env.ExecuteWorkflow(Sweep, in)
	if err := env.GetWorkflowError(); err != nil {
		return operation.SweepResult{}, err
	}
	var r operation.SweepResult
	return r, env.GetWorkflowResult(&r)
}

func TestFailedBatchKeepsTheResultsOfOthers(t *testing.T) {
	r, err := runSweep(t, operation.SweepInput{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Drifted) != 1 || r.Drifted[0].Cluster != "c100" || len(r.Orphans) != 1 {
		t.Errorf("found %+v", r)
	}
	if !slices.Equal(r.Failed, []string{"clusters c000 to c099: etcd is away"}) {
		t.Errorf("failed %q", r.Failed)
	}
	if r, err = runSweep(t, operation.SweepInput{}, true); err != nil || len(r.Failed) != 2 ||
		r.Failed[1] != "orphans: no" || len(r.Drifted) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFailedSweepOfOneClusterIsAnError(t *testing.T) {
	if r, err := runSweep(t, operation.SweepInput{Cluster: "c000"}, false); err == nil {
		t.Errorf("no error, and %+v", r)
	}
}
