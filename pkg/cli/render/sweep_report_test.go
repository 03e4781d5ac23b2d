package render

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestSweepReportCountsUnreadableClusters(t *testing.T) {
	s := SweepReport{SweepResult: operation.SweepResult{Looked: 2,
		Drifted: []operation.DriftedCluster{{Cluster: "b", Phase: api.PhaseReady, Why: "Repair works on it"}}},
		Corrupt: []string{"d"}}
	if got := s.RenderPage(fixture.Noon); !strings.HasPrefix(got,
		"Checked 2 of 3 clusters: 1 busy, 1 damaged.\n") || strings.Contains(got, "unknown") {
		t.Error(got)
	}
}

func TestSweepReportListsEachCluster(t *testing.T) {
	paused, away, dev := fixture.NewReadyCluster(), fixture.NewReadyCluster(), fixture.NewFreshCluster()
	paused.Status.PausedAt = fixture.TimeAgo(time.Hour)
	away.Metadata.Name = "away"
	away.Status.SetCondition(api.Condition{Type: api.Reachable, Status: api.ConditionUnknown, Reason: "CloudSilent",
		Message: "aws could not be asked: no credentials"}, fixture.Noon)
	s := SweepReport{
		SweepResult: operation.SweepResult{Looked: 4, Orphans: fixture.NewOrphans(),
			Unasked: []string{"gcp: no credentials"},
			Drifted: []operation.DriftedCluster{
				{Cluster: "train", Phase: api.PhaseReady, Drift: fixture.NewDriftedCluster().Status.Drift,
					Started: operation.WorkflowConverge},
				{Cluster: "cloud-cluster", Phase: api.PhaseProvisioning, Why: "an operation is already running on it"},
			}},
		Clusters: map[string]api.Cluster{"train": *paused, "away": *away, "cloud-cluster": *dev},
		Corrupt:  []string{"odd"}, SchedulePaused: true,
	}
	golden.Compare(t, "sweep-report.txt", s.RenderPage(fixture.Noon))
	some := SweepReport{SweepResult: operation.SweepResult{Looked: 200,
		Failed: []string{"clusters a to m: etcd at 127.0.0.1:2379 does not answer"}}}
	golden.Compare(t, "sweep-report-in-part.txt", some.RenderPage(fixture.Noon))
	golden.Compare(t, "sweep-report-well.txt",
		SweepReport{SweepResult: operation.SweepResult{Looked: 3}}.RenderPage(fixture.Noon))
	golden.Compare(t, "sweep-report-one.txt", SweepReport{SweepResult: operation.SweepResult{Looked: 1},
		Only: "train"}.RenderPage(fixture.Noon))
	lost := fixture.NewFailedCluster()
	golden.Compare(t, "sweep-report-one-failed.txt", SweepReport{SweepResult: operation.SweepResult{Looked: 1},
		Only:     "cloud-cluster",
		Clusters: map[string]api.Cluster{"cloud-cluster": *lost}}.RenderPage(fixture.Noon))
	golden.Compare(t, "sweep-report-failed.txt", SweepReport{SweepResult: operation.SweepResult{Looked: 1},
		Clusters: map[string]api.Cluster{"cloud-cluster": *lost}}.RenderPage(fixture.Noon))
	golden.Compare(t, "sweep-report-one-drifted.txt",
		SweepReport{SweepResult: operation.SweepResult{Looked: 1, Drifted: s.Drifted[:1]}, Only: "train",
			Clusters: map[string]api.Cluster{"train": *fixture.NewDriftedCluster()}}.RenderPage(fixture.Noon))
}
