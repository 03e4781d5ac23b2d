package workflows

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/record"
	"github.com/sky-shift/skyctl/pkg/api"
)

func (w *world) onReplacements() {
	a := &record.Activities{}
	w.OnActivity(a.ReplaceMachine, mock.Anything,
		mock.Anything).Return(func(ctx context.Context, old activities.MachineRef) (activities.MachineRef, error) {
		fresh := old
		fresh.Incarnation += "+"
		return fresh, w.did(ctx, "replace "+old.Name+" "+old.Incarnation)
	}).Maybe()
}

func (w *world) count(what string) int {
	n := 0
	for _, s := range w.log {
		if s == what {
			n++
		}
	}
	return n
}

func TestOnlyTheLostWorkerIsLaunchedAgain(t *testing.T) {
	w := newWorld(t, 3, here, there)
	w.onReplacements()
	lost := final("join the cluster", "sky-c1-1", activities.ReasonLost)
	w.failures["join sky-c1-1"] = []error{lost, lost}
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{
		"submit sky-c1-1": 3, "terminate sky-c1-1": 2, "replace sky-c1-1 ": 1, "replace sky-c1-1 +": 1,
		"submit sky-c1-0": 1, "submit sky-c1-2": 1, "terminate sky-c1-0": 0, "reserve there": 0,
		"condition " + string(api.MachinesLaunched): 1, "condition " + string(api.NodesReady): 1,
	} {
		if got := w.count(what); got != want {
			t.Errorf("%q ran %d times, want %d", what, got, want)
		}
	}
}

func TestOnlyTheHeadIsLaunchedAgainBeforeWorkersJoin(t *testing.T) {
	w := newWorld(t, 2, here)
	w.onReplacements()
	w.failures["head sky-c1-0"] = []error{final("start the server", "sky-c1-0", activities.ReasonLost)}
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	if w.count("submit sky-c1-0") != 2 || w.count("submit sky-c1-1") != 1 || w.count("join sky-c1-1") != 1 {
		t.Error("other machines than the head were launched again")
	}
}

func TestHeadLostAfterJoinsRestartsAllMachines(t *testing.T) {
	w := newWorld(t, 2, here)
	w.onReplacements()
	w.failures["api sky-c1-0"] = []error{final("wait for the Kubernetes API", "sky-c1-0", activities.ReasonLost)}
	w.during["api sky-c1-0"] = w.until(func() bool { return w.index("join sky-c1-1") >= 0 })
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	if w.count("submit sky-c1-0") != 2 || w.count("submit sky-c1-1") != 2 || w.count("release") != 1 {
		t.Error("workers that may have joined the lost head were kept")
	}
}

func TestWorkerErrorIsTheHeadsIfTheHeadIsGone(t *testing.T) {
	w := newWorld(t, 2, here)
	w.onReplacements()
	w.failures["join sky-c1-1"] = []error{final("join the cluster", "sky-c1-1", "Deadline")}
	w.failures["lost? sky-c1-0"] = []error{final("check that the machine exists", "sky-c1-0", activities.ReasonLost)}
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	if w.count("submit sky-c1-0") != 2 || w.count("submit sky-c1-1") != 2 || w.count("release") != 1 {
		t.Error("not all machines were launched again")
	}
}

func TestWorkerErrorIsItsOwnIfTheHeadExists(t *testing.T) {
	w := newWorld(t, 2, here)
	w.failures["join sky-c1-1"] = []error{final("join the cluster", "sky-c1-1", "Deadline")}
	if err := w.provision(t); err == nil || w.failed == nil || w.failed.Machine != "sky-c1-1" ||
		w.failed.Reason != "Deadline" {
		t.Errorf("%v, %+v", err, w.failed)
	}
	if w.count("lost? sky-c1-0") != 1 || w.count("submit sky-c1-0") != 1 {
		t.Error("the head was not launched exactly once")
	}
}

func TestCreateFailsAfterRepeatedLossOfAMachine(t *testing.T) {
	w := newWorld(t, 2, here)
	w.onReplacements()
	for range 20 {
		w.failures["prepare sky-c1-1"] = append(w.failures["prepare sky-c1-1"],
			final("install RKE2", "sky-c1-1", activities.ReasonLost))
	}
	err := w.provision(t)
	if err == nil || w.failed == nil || w.failed.Reason != activities.ReasonLost || w.failed.Machine != "sky-c1-1" {
		t.Errorf("%v, %+v", err, w.failed)
	}
	if n := strings.Count(strings.Join(w.log, "\n"), "submit sky-c1-1"); n != maxRelaunches+1 {
		t.Errorf("it was launched %d times", n)
	}
}
