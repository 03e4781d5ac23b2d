package workflows

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
)

// runSweep runs a sweep over more clusters than fit into one batch, of which the first batch fails, and, where that is
// asked for, the look for orphans too.
func runSweep(t *testing.T, in api.SweepInput, orphansFail bool) (api.SweepResult, error) {
	t.Helper()
	env := newEnvironment()
	a := &activities.Sweeps{}
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
		in activities.LookAtInput) ([]api.DriftedCluster, error) {
		if len(in.Clusters) == batchSize {
			return nil, refuse("look at the clusters", "etcd is away")
		}
		return []api.DriftedCluster{{Cluster: in.Clusters[0]}}, nil
	})
	env.OnActivity(a.FindOrphans, mock.Anything).Return(func(context.Context) (api.OrphansResult, error) {
		if orphansFail {
			return api.OrphansResult{}, refuse("look for orphans", "no")
		}
		return api.OrphansResult{Orphans: []api.Orphan{{Name: "sky-old-0"}}}, nil
	}).Maybe()
	env.ExecuteWorkflow(Sweep, in)
	if err := env.GetWorkflowError(); err != nil {
		return api.SweepResult{}, err
	}
	var r api.SweepResult
	return r, env.GetWorkflowResult(&r)
}

func TestABatchThatFailsTakesNothingFromWhatTheOthersFound(t *testing.T) {
	r, err := runSweep(t, api.SweepInput{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Drifted) != 1 || r.Drifted[0].Cluster != "c100" || len(r.Orphans) != 1 {
		t.Errorf("found %+v", r)
	}
	if !slices.Equal(r.Failed, []string{"clusters c000 to c099: etcd is away"}) {
		t.Errorf("failed %q", r.Failed)
	}
	if r, err = runSweep(t, api.SweepInput{}, true); err != nil || len(r.Failed) != 2 ||
		r.Failed[1] != "machines of no cluster: no" || len(r.Drifted) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestALookAtOneClusterThatFailsIsAnError(t *testing.T) {
	if r, err := runSweep(t, api.SweepInput{Cluster: "c000"}, false); err == nil {
		t.Errorf("no error, and %+v", r)
	}
}
