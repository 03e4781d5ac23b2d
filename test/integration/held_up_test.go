package integration

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func TestCreateReportsAnUnresponsiveReleaseSource(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("heldup", 1)
	const source = "https://127.0.0.1:1/rke2"
	w.acts.Clusters.RKE2.Source, w.acts.Clusters.RKE2.SHA256 = source, ""
	_, err := w.acts.Clusters.Begin(t.Context(), operation.ProvisionInput{Cluster: ref})
	if reason, final := reasonOf(err); reason != "SourceUnreachable" || final {
		t.Fatalf("got %v", err)
	}
	held := w.get(ref).Status.FindCondition(api.CreateBegun)
	if held == nil || held.Status != api.ConditionFalse || !strings.Contains(held.Message, source) {
		t.Fatalf("condition %+v", held)
	}
	late := api.Failure{Step: "plan", Reason: "Deadline",
		Message: "not READY within 20s: no machine had been requested yet"}
	if err := w.acts.Clusters.MarkFailed(t.Context(),
		record.MarkFailedInput{Cluster: ref, Failure: late}); err != nil {
		t.Fatal(err)
	}
	if f := w.get(ref).Status.Failure; f == nil || !strings.Contains(f.Message, source) ||
		!strings.HasPrefix(f.Message, late.Message) {
		t.Errorf("failure %+v", f)
	}
}

func TestHeldUpConditionEndsOnceTheCreateStarts(t *testing.T) {
	w := newActivities(t)
	ref := w.store1("heldupno", 1)
	good := w.acts.Clusters.RKE2
	w.acts.Clusters.RKE2.Source, w.acts.Clusters.RKE2.SHA256 = "https://127.0.0.1:1/rke2", ""
	if _, err := w.acts.Clusters.Begin(t.Context(), operation.ProvisionInput{Cluster: ref}); err == nil {
		t.Fatal("the source answered")
	}
	w.acts.Clusters.RKE2 = good
	if _, err := w.acts.Clusters.Begin(t.Context(), operation.ProvisionInput{Cluster: ref}); err != nil {
		t.Fatal(err)
	}
	if held := w.get(ref).Status.FindCondition(api.CreateBegun); held != nil {
		t.Errorf("condition %+v", held)
	}
}
