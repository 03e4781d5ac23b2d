package skypilot_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// secrets is where SkyPilot would put the clouds' credentials and its own state on a machine.
const secrets = "/root/.aws /home/*/.aws /home/*/.config/gcloud /home/*/.azure /home/*/.oci /home/*/.nebius " +
	"/root/.sky /home/*/.sky"

func TestAWSMachinesShareAGroupAndLeaveNothingBehind(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	k := newKey(t)
	plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{Cloud: "aws", NumNodes: 2},
		api.Neighbors{})
	if err != nil {
		t.Fatal(err)
	}
	var machines [2]cloud.Machine
	var requests [2]cloud.LaunchRequest
	var all sync.WaitGroup
	for i := range machines {
		requests[i] = launchOf("alpha", i, plan[0], k)
		ref := submit(t, c, requests[i])
		all.Go(func() {
			var err error
			if machines[i], err = c.AwaitLaunch(eventually.Context(t, 4*time.Minute), requests[i], ref,
				said(t, requests[i])); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, m := range machines {
		if got := logIn(t, m, k, "sudo -n id -u"); got != "0" {
			t.Errorf("sudo on %s gives user %q, want root", m.Name, got)
		}
		if got := logIn(t, m, k, "sudo -n sh -c 'ls -d "+secrets+" 2>/dev/null || true'"); got != "" {
			t.Errorf("%s holds %s", m.Name, got)
		}
		if m.CPUs != 2 || m.MemoryGiB != 4 || m.PrivateAddress == "" || m.ID == "" || m.SSHPort != 22 {
			t.Errorf("machine %+v", m)
		}
	}
	instances := w.living(t, "alpha")
	if len(instances) != 2 {
		t.Fatalf("AWS has %d machines, want 2: %+v", len(instances), instances)
	}
	for _, i := range instances {
		if i.Profile != "" {
			t.Errorf("machine %s has the instance profile %s", i.ID, i.Profile)
		}
		if ends, err := w.env.AWS.ReadShutdownBehavior(t.Context(), i); err != nil || ends != "terminate" {
			t.Errorf("machine %s at shutdown: %q, %v; it would keep costing money", i.ID, ends, err)
		}
		if i.Region != plan[0].Region || i.Type != plan[0].InstanceType || i.MetadataToken != "required" {
			t.Errorf("machine %+v", i)
		}
	}
	group := w.group(t, "alpha")
	if group == nil {
		t.Fatal("the cluster does not have its own group")
	}
	holdRules(t, *group)
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), owner("alpha"))
	if err != nil || len(listed) != 2 {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	for _, m := range listed {
		if m.State != cloud.StateRunning || m.Incarnation != "bcdfg" || m.Owner != owner("alpha") || m.Address == "" {
			t.Errorf("listed %+v", m)
		}
	}
	for _, req := range requests {
		gone(t, c, req)
	}
	w.holdLifetimes(t, c, owner("alpha"))
	if err := c.RemoveClusterResources(eventually.Context(t, 3*time.Minute), owner("alpha")); err != nil {
		t.Error(err)
	}
	if left := w.living(t, "alpha"); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
	if w.group(t, "alpha") != nil {
		t.Error("the group is still there")
	}
	if listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), owner("alpha")); err != nil ||
		len(listed) != 0 {
		t.Errorf("still listed: %+v, %v", listed, err)
	}
}

// holdLifetimes checks the lifetimes of a cluster's machines, which have all ended, against AWS.
func (w *world) holdLifetimes(t *testing.T, c *skypilot.Cloud, o cloud.Owner) {
	t.Helper()
	told, err := c.ListLifetimes(eventually.Context(t, 3*time.Minute), o)
	if err != nil || len(told.Machines) != 2 || !slices.Contains(told.Clouds, "aws") {
		t.Fatalf("%+v, %v", told, err)
	}
	all, err := w.env.AWS.ListInstances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range told.Machines {
		i := slices.IndexFunc(all, func(i skytest.Instance) bool { return i.ID == l.ID })
		launched, err := time.Parse(time.RFC3339, all[i].Launched)
		if err != nil {
			t.Fatal(err)
		}
		ended, err := time.Parse("User initiated (2006-01-02 15:04:05 MST)", all[i].Reason)
		if err != nil {
			t.Fatal(err)
		}
		if l.From.Sub(launched).Abs() >= time.Second || l.Until.Sub(ended).Abs() >= time.Second || !l.Ended ||
			l.Incarnation != "bcdfg" {
			t.Errorf("%+v, and AWS has it from %v until %v", l, launched, ended)
		}
	}
}

// holdRules checks that members reach each other, and the internet only SSH, the Kubernetes API and the requested
// ports.
func holdRules(t *testing.T, group skytest.SecurityGroup) {
	t.Helper()
	want := map[[2]int]bool{{22, 22}: false, {6443, 6443}: false, {30000, 30100}: false}
	members := false
	for _, r := range group.Rules {
		if len(r.Groups) > 0 {
			members = members || r.Protocol == "-1" && r.Groups[0] == group.ID
		}
		if len(r.CIDRs) == 0 {
			continue
		}
		open := [2]int{r.From, r.To}
		if _, ok := want[open]; !ok || r.Protocol != "tcp" {
			t.Errorf("the world reaches %s %v", r.Protocol, open)
		}
		want[open] = true
	}
	for open, there := range want {
		if !there {
			t.Errorf("the world does not reach %v: %+v", open, group.Rules)
		}
	}
	if !members {
		t.Errorf("members don't reach each other: %+v", group.Rules)
	}
}

func TestRepeatedLaunchesCreateOneMachine(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, Cluster: "sky-once-0-*"})
	req := launchOf("once", 0, onAWS("us-east-1"), newKey(t))
	first := submit(t, c, req)
	eventually.HoldsWithin(t, 3*time.Minute, "the launch has reached AWS",
		func() bool { return hang.CountRequests() > 0 })
	// The first caller died: another one asks again.
	other := w.newCloud(t)
	second, err := other.SubmitLaunch(eventually.Context(t, 3*time.Minute), req)
	if err != nil || second != first {
		t.Errorf("asked again: %q, %v; want the request %q", second, err, first)
	}
	listed, err := other.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].State != cloud.StatePending {
		t.Errorf("while it is being launched: %+v, %v", listed, err)
	}
	stranger := req
	stranger.Owner.Installation = "inst-other"
	if _, err := other.SubmitLaunch(eventually.Context(t, 3*time.Minute),
		stranger); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("another installation's launch of that name: %v", err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	m := await(t, other, req, second)
	again := await(t, c, req, first)
	if m.ID != again.ID {
		t.Errorf("two machines: %s and %s", m.ID, again.ID)
	}
	third, err := c.SubmitLaunch(eventually.Context(t, 3*time.Minute), req)
	if err != nil {
		t.Fatal(err)
	}
	if m := await(t, c, req, third); m.ID != again.ID {
		t.Errorf("two machines: %s and %s", m.ID, again.ID)
	}
	successor := req
	successor.Incarnation = "zzzzz"
	if _, err := c.SubmitLaunch(eventually.Context(t, 3*time.Minute), successor); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("the next incarnation together with the first: %v", err)
	}
	if living := w.living(t, "once"); len(living) != 1 {
		t.Errorf("AWS has %d machines, want 1", len(living))
	}
	if err := c.TerminateMachine(eventually.Context(t, 3*time.Minute), stranger.ToTarget()); err != nil {
		t.Error(err)
	}
	if living := w.living(t, "once"); len(living) != 1 {
		t.Error("another installation ended the machine")
	}
}

// TestFreeMachineHasTheLoginUserOfTheSpecAndNoTimer looks for the power-off timer of billed machines too.
func TestFreeMachineHasTheLoginUserOfTheSpecAndNoTimer(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	k := newKey(t)
	req := launchOf("user", 0, onAWS("us-east-1"), k)
	req.Spec.SSHUser = "admin"
	m := await(t, c, req, submit(t, c, req))
	if got := logIn(t, m, k, "id -un; sudo -n id -u"); got != "admin\n0" || m.SSHUser != "admin" {
		t.Errorf("user %s: %q", m.SSHUser, got)
	}
	if got := logIn(t, m, k, "systemctl list-timers --all "+cloud.BootPowerOffUnit+".timer"); !strings.Contains(got,
		"0 timers listed") {
		t.Errorf("no process stops this timer: %q", got)
	}
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].SSHUser != "admin" {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func TestLaunchesAreBounded(t *testing.T) {
	w := start(t)
	c := w.newCloud(t, func(o *skypilot.Options) { o.LaunchesAtOnce = 1 })
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, Cluster: "sky-one-0-*"})
	k := newKey(t)
	first := launchOf("one", 0, onAWS("us-east-1"), k)
	submit(t, c, first)
	eventually.HoldsWithin(t, 3*time.Minute, "the launch has reached AWS",
		func() bool { return hang.CountRequests() > 0 })
	second := launchOf("one", 1, onAWS("us-east-1"), k)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if ref, err := c.SubmitLaunch(ctx, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second launch together with the first: %q, %v", ref, err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SubmitLaunch(eventually.Context(t, 3*time.Minute), second); err != nil {
		t.Error(err)
	}
	gone(t, c, second)
}
