package workflows

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/activities/nodes"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

var dear = api.Placement{Cloud: "sim", Region: "dear", PricePerMachine: 0.5, PriceTotal: 1.5}

// newBilledWorld returns a world of billed machines, and the time at which each powers itself off.
func newBilledWorld(t *testing.T, numNodes int, placements ...api.Placement) (*world, map[string]time.Time) {
	t.Helper()
	w := newWorld(t, numNodes, placements...)
	at := map[string]time.Time{}
	a := &nodes.Activities{}
	w.OnActivity(a.Arm, mock.Anything, mock.Anything).Return(func(ctx context.Context, in nodes.ArmInput) error {
		w.mu.Lock()
		at[in.Machine.Name] = in.At
		w.mu.Unlock()
		return w.did(ctx, "arm "+in.Machine.Name)
	}).Maybe()
	w.OnActivity(a.Disarm, mock.Anything, mock.Anything).Return(func(ctx context.Context,
		m activities.MachineRef) error {
		defer w.disarms.enter()()
		err := w.did(ctx, "disarm "+m.Name)
		if err == nil {
			w.mu.Lock()
			delete(at, m.Name)
			w.mu.Unlock()
		}
		return err
	}).Maybe()
	return w, at
}

func TestBilledMachinesHaveAPowerOffTimerUntilReady(t *testing.T) {
	w, at := newBilledWorld(t, 3, dear)
	began := w.Now()
	w.during["head sky-c1-0"] = func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if off := at["sky-c1-0"].Sub(began); off < operation.DefaultProvisionTimeout+powerOffMargin ||
			off > operation.DefaultProvisionTimeout+2*powerOffMargin {
			return fmt.Errorf("the head powers itself off after %v", off)
		}
		return nil
	}
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m := api.MachineName(ref.Name, i)
		if w.index("arm "+m) < w.index("await "+m) || w.index("arm "+m) > w.index("prepare "+m) {
			t.Errorf("%s was not armed between its launch and its installation", m)
		}
		for j := range 3 {
			if w.index("disarm "+m) < w.index("node "+api.MachineName(ref.Name, j)) {
				t.Errorf("%s was disarmed while a machine was not Ready", m)
			}
		}
		if w.index("disarm "+m) > w.index("ready") {
			t.Errorf("%s was still armed when the cluster was READY", m)
		}
	}
	if len(at) != 0 {
		t.Errorf("still armed: %v", at)
	}
}

func TestFreeMachinesHaveNoPowerOffTimer(t *testing.T) {
	w, _ := newBilledWorld(t, 2, here)
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	if w.index("arm sky-c1-0") >= 0 || w.index("disarm sky-c1-0") >= 0 {
		t.Error("a free machine was armed")
	}
}

func TestClusterIsNotReadyWithAPowerOffTimer(t *testing.T) {
	w, _ := newBilledWorld(t, 3, dear)
	w.failures["disarm sky-c1-1"] = []error{final("clear the power-off timer", "sky-c1-1", "CommandFailed")}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if w.index("ready") >= 0 || w.failed == nil || w.failed.Machine != "sky-c1-1" || len(w.exist) != 0 {
		t.Errorf("READY: %t, failure %+v, machines left: %v", w.index("ready") >= 0, w.failed, w.exist)
	}
}

func TestKeptMachinesKeepTheirPowerOffTimers(t *testing.T) {
	w, at := newBilledWorld(t, 2, dear)
	w.wanted.KeepMachines = true
	w.failures["join sky-c1-1"] = []error{final("join the cluster", "sky-c1-1", "WrongToken")}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if len(w.exist) != 2 || len(at) != 2 {
		t.Errorf("machines left %v, armed %v, want both machines", w.exist, at)
	}
}

func TestCreateFailsWithoutAPowerOffTimer(t *testing.T) {
	w, _ := newBilledWorld(t, 2, dear)
	w.failures["arm sky-c1-0"] = []error{final("set the power-off timer", "sky-c1-0", "CommandFailed")}
	if err := w.provision(t); err == nil {
		t.Fatal("no error")
	}
	if w.index("prepare sky-c1-0") >= 0 || len(w.exist) != 0 {
		t.Errorf("the create continued, or left machines: %v", w.exist)
	}
}

func TestClearingAPowerOffTimerIsRetried(t *testing.T) {
	w, at := newBilledWorld(t, 2, dear)
	w.failures["disarm sky-c1-0"] = []error{errors.New("the connection broke")}
	if err := w.provision(t); err != nil || len(at) != 0 {
		t.Errorf("error %v, armed %v", err, at)
	}
}

func TestAtMostFiftyTimersAreClearedAtOnce(t *testing.T) {
	w, at := newBilledWorld(t, 121, dear)
	w.disarms.gather(50)
	if err := w.provision(t); err != nil {
		t.Fatal(err)
	}
	if w.disarms.most != 50 || len(at) != 0 {
		t.Errorf("%d at once, %d still armed", w.disarms.most, len(at))
	}
}
