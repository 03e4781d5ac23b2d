package workflows

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func count(log []string, what string) int {
	return len(slices.DeleteFunc(slices.Clone(log), func(s string) bool { return s != what }))
}

func TestDeleteTerminatesMachinesThatAppearLate(t *testing.T) {
	w := newWorld(t, 1, here)
	w.exist["sky-c1-0"] = true
	w.failures["release"] = []error{final("confirm", "sky-c1-0", activities.ReasonLeft)}
	w.during["release"] = func(context.Context) error {
		if count(w.log, "release") == 1 {
			w.exist["sky-c1-late"] = true
		}
		return nil
	}
	w.ExecuteWorkflow(Delete, operation.DeleteInput{Cluster: ref})
	if err := w.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if w.index("terminate sky-c1-late") < 0 || len(w.exist) > 0 || count(w.log, "forget") != 1 {
		t.Errorf("left %v, log %q", w.exist, w.log)
	}
}

func TestDeleteKeepsTheRecordWhileTheCloudListsMachines(t *testing.T) {
	w := newWorld(t, 1, here)
	for range terminateRounds {
		w.failures["release"] = append(w.failures["release"], final("confirm", "sky-c1-0", activities.ReasonLeft))
	}
	w.ExecuteWorkflow(Delete, operation.DeleteInput{Cluster: ref})
	if err := w.GetWorkflowError(); err == nil {
		t.Error("no error")
	}
	if w.index("forget") >= 0 || w.failed == nil || w.failed.Reason != activities.ReasonLeft ||
		w.failed.Machine != "sky-c1-0" {
		t.Errorf("failure %+v, log %q", w.failed, w.log)
	}
}

func TestDeleteInterruptsTheCleanUpOfACreate(t *testing.T) {
	w := newWorld(t, 1, here)
	w.failures["prepare sky-c1-0"] = []error{final("install RKE2", "sky-c1-0", "ChecksumMismatch")}
	w.during["terminate sky-c1-0"] = func(context.Context) error {
		w.wanted.Deleted = true
		w.CancelWorkflow()
		return errors.New("the cloud does not answer") // and would be asked for an hour
	}
	begin := w.Now()
	var next *workflow.ContinueAsNewError
	if err := w.provision(t); !errors.As(err, &next) || next.WorkflowType.Name != operation.WorkflowDelete {
		t.Errorf("got %v, want to continue as Delete", err)
	}
	if took := w.Now().Sub(begin); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func TestCancelDoesNotStopTheCleanUpOfACreate(t *testing.T) {
	w := newWorld(t, 1, here)
	w.failures["prepare sky-c1-0"] = []error{final("install RKE2", "sky-c1-0", "ChecksumMismatch")}
	w.during["terminate sky-c1-0"] = func(context.Context) error {
		if count(w.log, "terminate sky-c1-0") == 1 {
			w.CancelWorkflow()
			return errors.New("cut short")
		}
		return nil
	}
	if err := w.provision(t); err == nil {
		t.Error("no error")
	}
	if len(w.exist) > 0 || w.failed == nil || w.failed.Reason != "ChecksumMismatch" {
		t.Errorf("left %v, failure %+v", w.exist, w.failed)
	}
}

func TestFailedCleanUpIsReported(t *testing.T) {
	w := newWorld(t, 1, here)
	w.failures["prepare sky-c1-0"] = []error{final("install RKE2", "sky-c1-0", "ChecksumMismatch")}
	w.failures["terminate sky-c1-0"] = []error{final("terminate", "sky-c1-0", string(cloud.Access))}
	if err := w.provision(t); err == nil {
		t.Error("no error")
	}
	const want = "because; not all machines could be terminated, delete the cluster to try again: because"
	if w.failed == nil || w.failed.Reason != "ChecksumMismatch" || w.failed.Message != want {
		t.Errorf("failure %+v", w.failed)
	}
}
