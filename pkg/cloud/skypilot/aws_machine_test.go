package skypilot_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// awsMachine is a free machine on AWS that runs, alone in its cluster.
type awsMachine struct {
	req cloud.LaunchRequest
	k   key
	m   cloud.Machine
}

// machine returns the machine on AWS that tests share, which was launched if there is none. A test may change it, and
// leaves it running: after a test that failed, the next one gets another machine.
func (w *world) machine(t *testing.T) *awsMachine {
	t.Helper()
	if w.shared == nil {
		c, k := w.cloud(t), newKey(t)
		w.launched++
		req := launchOf(fmt.Sprintf("shared%d", w.launched), 0, onAWS("us-west-2"), k)
		ref, err := c.SubmitLaunch(eventually.Context(t, 2*time.Minute), req)
		if err != nil {
			t.Fatal(err)
		}
		w.shared = &awsMachine{req: req, k: k}
		w.abandonIfFailed(t, w.shared)
		w.shared.m = await(t, c, req, ref)
		return w.shared
	}
	w.abandonIfFailed(t, w.shared)
	return w.shared
}

func (w *world) abandonIfFailed(t *testing.T, up *awsMachine) {
	t.Cleanup(func() {
		if t.Failed() && w.shared == up {
			w.shared = nil
			gone(t, w.cloud(t), up.req)
		}
	})
}

// takeMachine is machine for a test that ends it.
func (w *world) takeMachine(t *testing.T) *awsMachine {
	t.Helper()
	up := w.machine(t)
	w.shared = nil
	t.Cleanup(func() { gone(t, w.cloud(t), up.req) })
	return up
}

func TestStoppedMachineIsStarted(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	up := w.machine(t)
	req, m := up.req, &up.m
	for _, i := range w.living(t, req.Owner.Cluster) {
		if err := w.env.AWS.StopInstance(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].State != cloud.StateStopped || listed[0].NoStart {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	other := cloud.TargetOf(*m)
	other.Incarnation = "zzzzz"
	if _, err := c.StartMachine(eventually.Context(t, 3*time.Minute), other,
		m.PrivateAddress); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("another incarnation was started: %v", err)
	}
	for range 2 { // one that runs is a success
		started, err := c.StartMachine(eventually.Context(t, 4*time.Minute), cloud.TargetOf(*m), m.PrivateAddress)
		if err != nil || started.ID != m.ID || started.State != cloud.StateRunning {
			t.Fatalf("started %+v, %v", started, err)
		}
		m.Address, m.SSHUser = started.Address, started.SSHUser
	}
	if got := logIn(t, *m, up.k, "sudo -n id -u"); got != "0" {
		t.Errorf("sudo gives user %q, want root", got)
	}
	if profiles, err := w.env.AWS.ListInstanceProfiles(t.Context()); err != nil || len(profiles) != 1 {
		t.Errorf("the start has created instance profiles: %+v, %v", profiles, err)
	}
	living := w.living(t, req.Owner.Cluster)
	if len(living) != 1 || living[0].ID != m.ID {
		t.Errorf("AWS has %+v, want just %s", living, m.ID)
	}
	groups, err := w.env.AWS.ListSecurityGroups(t.Context())
	own := func(g skytest.SecurityGroup) bool { return strings.HasPrefix(g.Name, "skyctl-") }
	if err != nil || !slices.ContainsFunc(groups, own) ||
		slices.ContainsFunc(groups, func(g skytest.SecurityGroup) bool { return !own(g) }) {
		t.Errorf("groups %+v, %v", groups, err)
	}
}

func TestMachineIsListedAfterAFailedTermination(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := w.takeMachine(t).req
	fault := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "TerminateInstances", Cluster: req.Name + "-*",
		Code: "InternalError", Message: "An internal error has occurred."})
	err := c.TerminateMachine(eventually.Context(t, 3*time.Minute), req.ToTarget())
	if err == nil || cloud.KindOf(err) != cloud.Transient || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	if err := fault.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := c.TerminateMachine(eventually.Context(t, 3*time.Minute), req.ToTarget()); err != nil {
		t.Error(err)
	}
	if left := w.living(t, req.Owner.Cluster); len(left) > 0 {
		t.Errorf("AWS has %+v", left)
	}
}

func TestGoneMachineIsNotListed(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := w.takeMachine(t).req
	for _, i := range w.living(t, req.Owner.Cluster) {
		if err := w.env.AWS.TerminateInstance(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func TestMachineThatSkyPilotForgotIsListedAndTerminated(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := w.takeMachine(t).req
	fault := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "TerminateInstances", Cluster: req.Name + "-*",
		Code: "InternalError", Message: "An internal error has occurred."})
	// This is how users lose machines: SkyPilot forgets machines that it could not terminate.
	response, err := http.Post(c.Endpoint()+"/down", "application/json",
		strings.NewReader(`{"cluster_name":"`+req.Name+`","purge":true}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	eventually.HoldsWithin(t, 2*time.Minute, "nobody knows the machine but AWS, and it is listed all the same",
		func() bool {
			listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
			if err != nil || len(listed) != 1 || listed[0].Name != req.Name {
				t.Fatalf("listed %+v, %v", listed, err)
			}
			return fault.CountRequests() > 0 && listed[0].SSHUser == ""
		})
	if err := fault.Clear(); err != nil {
		t.Fatal(err)
	}
	gone(t, c, req)
	if left := w.living(t, req.Owner.Cluster); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
	if listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner); err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}
