package workflows

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// checksWorld has snapshots whose verification is requested.
type checksWorld struct {
	*testsuite.TestWorkflowEnvironment
	due      []string
	failures map[string]error
	running  int
	did      []string
	ended    func(name string)
}

func newChecksWorld(due ...string) *checksWorld {
	w := &checksWorld{TestWorkflowEnvironment: newEnvironment(), due: due, failures: map[string]error{}}
	a := &snapshots.Verifier{}
	w.RegisterActivity(a)
	w.OnActivity(a.ListSnapshotChecks, mock.Anything).Return(func(context.Context) ([]snapshots.CheckRef, error) {
		var refs []snapshots.CheckRef
		for _, name := range w.due {
			refs = append(refs, snapshots.CheckRef{Cluster: ref, Name: name})
		}
		return refs, nil
	})
	w.OnActivity(a.VerifySnapshot, mock.Anything, mock.Anything).Return(func(_ context.Context,
		r snapshots.CheckRef) error {
		if w.running++; w.running > 1 {
			return errors.New("two at a time")
		}
		defer func() { w.running-- }()
		if err := w.failures[r.Name]; err != nil {
			return err
		}
		w.end("verified " + r.Name)
		return nil
	})
	w.OnActivity(a.FailSnapshotCheck, mock.Anything, mock.Anything).Return(func(_ context.Context,
		in snapshots.FailedCheck) error {
		w.end("failed " + in.Ref.Name + " " + in.Failure.Reason)
		return nil
	}).Maybe()
	return w
}

// end notes what was done to a snapshot, which needs no verification any more.
func (w *checksWorld) end(what string) {
	w.did = append(w.did, what)
	name := strings.Fields(what)[1]
	w.due = slices.DeleteFunc(w.due, func(d string) bool { return d == name })
	if w.ended != nil {
		w.ended(name)
	}
}

func TestRequestedSnapshotsAreVerifiedOneAtATime(t *testing.T) {
	w := newChecksWorld("a", "b", "c")
	w.failures["b"] = final("verify the snapshot", "", "NoDocker")
	w.ExecuteWorkflow(VerifySnapshots)
	var again *workflow.ContinueAsNewError
	if err := w.GetWorkflowError(); !errors.As(err, &again) {
		t.Errorf("it does not look again: %v", err)
	}
	if got := strings.Join(w.did, ", "); got != "verified a, failed b NoDocker, verified c" {
		t.Errorf("got %s", got)
	}
}

func TestVerificationEndsIfNoneIsRequested(t *testing.T) {
	w := newChecksWorld()
	w.ExecuteWorkflow(VerifySnapshots)
	if err := w.GetWorkflowError(); err != nil || len(w.did) != 0 {
		t.Errorf("%v, %q", err, w.did)
	}
}

func TestRequestDuringAVerificationIsSeen(t *testing.T) {
	w := newChecksWorld("a")
	w.ended = func(name string) {
		if name == "a" {
			w.due = append(w.due, "b")
			w.SignalWorkflow(operation.SignalChanged, nil)
		}
	}
	w.ExecuteWorkflow(VerifySnapshots)
	if got := strings.Join(w.did, ", "); got != "verified a, verified b" {
		t.Errorf("got %s", got)
	}
}

func TestCancelledVerificationStaysRequested(t *testing.T) {
	w := newChecksWorld("a")
	w.failures["a"] = context.Canceled
	w.RegisterDelayedCallback(w.CancelWorkflow, 0)
	w.ExecuteWorkflow(VerifySnapshots)
	if w.GetWorkflowError() == nil || len(w.did) != 0 {
		t.Errorf("%v, %q", w.GetWorkflowError(), w.did)
	}
}
