package skypilot_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

func TestTheMachinesOfAClusterOnAWSShareAGroupAndLeaveNothingBehind(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	k := newKey(t)
	plan, err := c.Plan(within(t, 4*time.Minute), api.ClusterSpec{Cloud: "aws", NumNodes: 2})
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
			if machines[i], err = c.Await(within(t, 4*time.Minute), requests[i], ref, said(t, requests[i])); err != nil {
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
		if ends, err := w.env.AWS.ShutdownBehavior(t.Context(), i); err != nil || ends != "terminate" {
			t.Errorf("machine %s at shutdown: %q, %v; it would go on billing", i.ID, ends, err)
		}
		if i.Region != plan[0].Region || i.Type != plan[0].InstanceType || i.MetadataToken != "required" {
			t.Errorf("machine %+v", i)
		}
	}
	group := w.group(t, "alpha")
	if group == nil {
		t.Fatal("the cluster has no group of its own")
	}
	holdRules(t, *group)
	listed, err := c.List(within(t, time.Minute), owner("alpha"))
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
	if err := c.Release(within(t, time.Minute), owner("alpha")); err != nil {
		t.Error(err)
	}
	if left := w.living(t, "alpha"); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
	if w.group(t, "alpha") != nil {
		t.Error("the group is still there")
	}
	if listed, err := c.List(within(t, time.Minute), owner("alpha")); err != nil || len(listed) != 0 {
		t.Errorf("still listed: %+v, %v", listed, err)
	}
}

// holdRules: members reach each other, and the world SSH, the Kubernetes API and the ports asked for alone.
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

func TestWhatACloudRefusesIsToldByKindInItsOwnWords(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	for _, test := range []struct {
		name  string
		fault skytest.Fault
		kind  cloud.Kind
		words string
	}{
		{"capacity", skytest.NoCapacity("us-west-2", ""), cloud.Capacity, "do not have sufficient capacity"},
		{"quota", skytest.NoQuota("us-west-2"), cloud.Quota, "more vCPU capacity than your current vCPU limit"},
		{"access", skytest.Fault{Cloud: "aws", Operation: "RunInstances", Region: "us-west-2", Code: "UnauthorizedOperation",
			Message: "You are not authorized to perform this operation."}, cloud.Access, "not authorized to perform"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fault := w.fault(t, test.fault)
			req := launchOf("refused-"+test.name, 0, onAWS("us-west-2"), newKey(t))
			ref := submit(t, c, req)
			_, err := c.Await(within(t, 3*time.Minute), req, ref, said(t, req))
			if err == nil || cloud.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%s: %v", cloud.KindOf(err), err)
			}
			if fault.Met() == 0 {
				t.Error("nobody met the fault")
			}
			compare(t, c, ref, test.name)
			if left := w.living(t, req.Owner.Cluster); len(left) > 0 {
				t.Errorf("AWS has %+v", left)
			}
		})
	}
}

// compare holds a recording of a failed launch against what the server says of this one; with -update it is the recording.
func compare(t *testing.T, c *skypilot.Cloud, id, name string) {
	t.Helper()
	for suffix, path := range map[string]string{".json": "/api/get?request_id=", ".log": "/api/stream?format=plain&follow=false&request_id="} {
		response, err := http.Get(c.Endpoint() + path + id)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "recorded", name+suffix)
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(file, recordable(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := shape(data), shape(want); got != want {
			t.Errorf("the server says now\n%s\nand the recording\n%s", got, want)
		}
	}
}

// recordable leaves out what no reader uses and what changes each time: pickles, paddings and where the tests ran.
func recordable(data []byte) []byte {
	data = regexp.MustCompile(` {200,}`).ReplaceAll(data, []byte("  "))
	data = regexp.MustCompile(`"(entrypoint|request_body)":"[^"]*"`).ReplaceAll(data, []byte(`"$1":""`))
	data = regexp.MustCompile(`(\\"object\\": ?\\")[A-Za-z0-9+/=]*`).ReplaceAll(data, []byte(`$1`))
	return regexp.MustCompile(`(/[\w.-]+)+/(site-packages|skyctl-skypilot-\d+)`).ReplaceAll(data, []byte("…"))
}

// shape is what of an answer is the same each time.
func shape(data []byte) string {
	text := regexp.MustCompile(`\d{10}(\.\d+)?|\d\d-\d\d \d\d:\d\d:\d\d\.\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|PID=\d+|"pid":\d+`).ReplaceAllString(string(recordable(data)), "#")
	var lines []string
	for line := range strings.Lines(text) {
		// Whether a launch had to wait depends on what else the server did.
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "to be scheduled") && !strings.Contains(line, "\x1b[?25") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestAMachineIsLaunchedOnceHoweverOftenItIsAskedFor(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, Cluster: "sky-once-0-*"})
	req := launchOf("once", 0, onAWS("us-east-1"), newKey(t))
	first := submit(t, c, req)
	eventually(t, "the launch has reached AWS", time.Minute, func() bool { return hang.Met() > 0 })
	// Whoever asked died: another one asks again.
	other := w.cloud(t)
	second, err := other.Submit(within(t, time.Minute), req)
	if err != nil || second != first {
		t.Errorf("asked again: %q, %v; want the request %q", second, err, first)
	}
	listed, err := other.List(within(t, time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].State != cloud.StatePending {
		t.Errorf("while it is being launched: %+v, %v", listed, err)
	}
	stranger := req
	stranger.Owner.Installation = "inst-other"
	if _, err := other.Submit(within(t, time.Minute), stranger); cloud.KindOf(err) != cloud.Conflict {
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
	third, err := c.Submit(within(t, time.Minute), req)
	if err != nil {
		t.Fatal(err)
	}
	if m := await(t, c, req, third); m.ID != again.ID {
		t.Errorf("two machines: %s and %s", m.ID, again.ID)
	}
	successor := req
	successor.Incarnation = "zzzzz"
	if _, err := c.Submit(within(t, time.Minute), successor); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("the next incarnation beside the first: %v", err)
	}
	if living := w.living(t, "once"); len(living) != 1 {
		t.Errorf("AWS has %d machines, want 1", len(living))
	}
	if err := c.Terminate(within(t, time.Minute), stranger.Owner, req.Name); err != nil {
		t.Error(err)
	}
	if living := w.living(t, "once"); len(living) != 1 {
		t.Error("another installation ended the machine")
	}
}

func TestALaunchOutlivesARestartOfTheServer(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	// The machine is made, and the server dies before it hears of that.
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true, Cluster: "sky-restart-0-*"})
	req := launchOf("restart", 0, onAWS("us-east-1"), newKey(t))
	ref := submit(t, c, req)
	type outcome struct {
		m   cloud.Machine
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		m, err := c.Await(within(t, 5*time.Minute), req, ref, said(t, req))
		done <- outcome{m, err}
	}()
	eventually(t, "AWS has made the machine", time.Minute, func() bool { return len(w.living(t, "restart")) == 1 })
	if err := c.StopServer(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	living := w.living(t, "restart")
	if len(living) != 1 || living[0].ID != got.m.ID {
		t.Errorf("AWS has %+v, want just %s", living, got.m.ID)
	}
}

func TestTerminateEndsALaunchUnderWay(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true, Cluster: "sky-early-0-*"})
	req := launchOf("early", 0, onAWS("us-east-1"), newKey(t))
	ref := submit(t, c, req)
	eventually(t, "the launch has reached AWS", time.Minute, func() bool { return hang.Met() > 0 })
	if err := c.Terminate(within(t, 2*time.Minute), req.Owner, req.Name); err != nil {
		t.Fatal(err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	if left := w.living(t, "early"); len(left) > 0 {
		t.Errorf("AWS has %+v", left)
	}
	if listed, err := c.List(within(t, time.Minute), req.Owner); err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	_, err := c.Await(within(t, time.Minute), req, ref, said(t, req))
	if err == nil {
		t.Error("the wait for a launch that was ended succeeds")
	}
}

func TestATerminationThatFailsLeavesTheMachineListed(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := launchOf("stays", 0, onAWS("us-east-1"), newKey(t))
	await(t, c, req, submit(t, c, req))
	fault := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "TerminateInstances", Cluster: "sky-stays-0-*",
		Code: "InternalError", Message: "An internal error has occurred."})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := c.Terminate(ctx, req.Owner, req.Name)
	if err == nil || cloud.KindOf(err) != cloud.Transient || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
	listed, err := c.List(within(t, time.Minute), req.Owner)
	if err != nil || len(listed) != 1 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	if err := fault.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := c.Terminate(within(t, time.Minute), req.Owner, req.Name); err != nil {
		t.Error(err)
	}
	if left := w.living(t, "stays"); len(left) > 0 {
		t.Errorf("AWS has %+v", left)
	}
}

func TestAMachineThatIsGoneIsNotListed(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := launchOf("lost", 0, onAWS("us-east-1"), newKey(t))
	await(t, c, req, submit(t, c, req))
	for _, i := range w.living(t, "lost") {
		if err := w.env.AWS.Terminate(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.List(within(t, time.Minute), req.Owner)
	if err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func TestTheCheapestPlaceOfAllCloudsComesFirst(t *testing.T) {
	c := start(t).cloud(t)
	plan, err := c.Plan(within(t, 4*time.Minute), api.ClusterSpec{CPUs: "2+", NumNodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	clouds := map[string]bool{}
	for i, p := range plan {
		clouds[p.Cloud] = true
		if i > 0 && p.PricePerMachine < plan[i-1].PricePerMachine {
			t.Errorf("%+v comes after %+v", p, plan[i-1])
		}
		if p.PriceTotal != 3*p.PricePerMachine || p.InstanceType == "" || p.Region == "" || p.CPUs < 2 {
			t.Errorf("%+v", p)
		}
	}
	if len(clouds) != 2 {
		t.Errorf("the plan has the clouds %v, want both", clouds)
	}
}

func TestAMachineOfAnotherCloudIsGotTheSameWay(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	k := newKey(t)
	plan, err := c.Plan(within(t, 4*time.Minute), api.ClusterSpec{NumNodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if plan[0].Cloud != "paperspace" {
		t.Fatalf("the cheapest place is %+v, want one of paperspace", plan[0])
	}
	req := launchOf("other", 0, plan[0], k)
	m := await(t, c, req, submit(t, c, req))
	if got := logIn(t, m, k, "sudo -n id -u"); got != "0" || m.SSHUser != skytest.PaperspaceUser {
		t.Errorf("user %s, sudo gives user %q", m.SSHUser, got)
	}
	gone(t, c, req)
	if err := c.Release(within(t, time.Minute), req.Owner); err != nil {
		t.Error(err)
	}
	if listed, err := c.List(within(t, time.Minute), req.Owner); err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func TestAWishThatNobodyMeetsIsRefusedByField(t *testing.T) {
	c := start(t).cloud(t)
	for _, test := range []struct {
		name  string
		spec  api.ClusterSpec
		field string
		want  string
	}{
		{"a cloud that does not exist", api.ClusterSpec{Cloud: "nimbus"}, "cloud", "aws, paperspace"},
		{"a cloud without credentials", api.ClusterSpec{Cloud: "gcp"}, "cloud", "gcp is not"},
		{"a region of another cloud", api.ClusterSpec{Cloud: "aws", Region: "us-central1"}, "region", "eu-central-1"},
		{"a zone that is not there", api.ClusterSpec{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1q"}, "zone", "us-east-1a"},
		{"an accelerator that nobody offers", api.ClusterSpec{Accelerators: "H1000:1"}, "accelerators", "H100"},
		{"a cap under the cheapest offer", api.ClusterSpec{Cloud: "aws", CPUs: "2+", MaxHourlyCost: 0.001}, "max_hourly_cost", "0.0850"},
		{"spot machines where there are none", api.ClusterSpec{Cloud: "paperspace", UseSpot: true}, "use_spot", "leave it out"},
		{"more memory than there is", api.ClusterSpec{Memory: "60000+"}, "memory", "cheapest on offer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := c.Validate(within(t, 4*time.Minute), test.spec)
			var bad *api.FieldError
			if !errors.As(err, &bad) || bad.Field != test.field || !strings.Contains(bad.Want, test.want) {
				t.Errorf("%v", err)
			} else {
				t.Log(bad)
			}
		})
	}
}

func TestTheRecordedCheckIsWhatTheServerSays(t *testing.T) {
	c := start(t).cloud(t)
	if _, err := c.Enabled(within(t, 3*time.Minute)); err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(c.Endpoint()+"/check", "application/json", strings.NewReader(`{"clouds":["aws","gcp"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	id := response.Header.Get("X-Skypilot-Request-ID")
	eventually(t, "the check has ended", 2*time.Minute, func() bool {
		response, err := http.Get(c.Endpoint() + "/api/get?request_id=" + id)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	compare(t, c, id, "check")
}

func TestLaunchesAreBounded(t *testing.T) {
	w := start(t)
	c := w.cloud(t, func(o *skypilot.Options) { o.LaunchesAtOnce = 1 })
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, Cluster: "sky-one-0-*"})
	k := newKey(t)
	first := launchOf("one", 0, onAWS("us-east-1"), k)
	submit(t, c, first)
	eventually(t, "the launch has reached AWS", time.Minute, func() bool { return hang.Met() > 0 })
	second := launchOf("one", 1, onAWS("us-east-1"), k)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if ref, err := c.Submit(ctx, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second launch beside the first: %q, %v", ref, err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(within(t, time.Minute), second); err != nil {
		t.Error(err)
	}
	gone(t, c, second)
}

func TestAMachineThatWasLeftHalfMadeIsListedAndCompleted(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true, Cluster: "sky-half-0-*"})
	req := launchOf("half", 0, onAWS("us-east-1"), newKey(t))
	submit(t, c, req)
	eventually(t, "AWS has made the machine", time.Minute, func() bool { return len(w.living(t, "half")) == 1 })
	if err := c.StopServer(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	// Everything of ours ended too: a new one looks.
	c = w.cloud(t)
	listed, err := c.List(within(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].Name != req.Name || listed[0].Incarnation != req.Incarnation {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	ref, err := c.Submit(within(t, time.Minute), req)
	if err != nil {
		t.Fatal(err)
	}
	m := await(t, c, req, ref)
	if living := w.living(t, "half"); len(living) != 1 || living[0].ID != m.ID {
		t.Errorf("AWS has %+v, want just %s", living, m.ID)
	}
}

func TestAMachineThatSkyPilotForgotIsListedAndEnded(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := launchOf("stray", 0, onAWS("us-west-2"), newKey(t))
	await(t, c, req, submit(t, c, req))
	fault := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "TerminateInstances", Cluster: "sky-stray-0-*",
		Code: "InternalError", Message: "An internal error has occurred."})
	// This is how people lose machines: SkyPilot forgets what it could not end.
	response, err := http.Post(c.Endpoint()+"/down", "application/json", strings.NewReader(`{"cluster_name":"sky-stray-0","purge":true}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	eventually(t, "nobody knows the machine but AWS, and it is listed all the same", 2*time.Minute, func() bool {
		listed, err := c.List(within(t, time.Minute), req.Owner)
		if err != nil || len(listed) != 1 || listed[0].Name != req.Name {
			t.Fatalf("listed %+v, %v", listed, err)
		}
		return fault.Met() > 0 && listed[0].SSHUser == ""
	})
	if err := fault.Clear(); err != nil {
		t.Fatal(err)
	}
	gone(t, c, req)
	if left := w.living(t, "stray"); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
	if listed, err := c.List(within(t, time.Minute), req.Owner); err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func TestAMachineEndsItselfUnlessSomebodyStopsTheTimer(t *testing.T) {
	w := start(t)
	c := w.cloud(t, func(o *skypilot.Options) { o.DeadMan = 3 * time.Hour })
	k := newKey(t)
	req := launchOf("deadman", 0, onAWS("us-east-1"), k)
	ref := submit(t, c, req)
	m := await(t, c, req, ref)
	await(t, c, req, ref) // a second time changes nothing
	timer := skypilot.DeadManUnit + ".timer"
	if got := logIn(t, m, k, "systemctl is-active "+timer+"; systemctl show -p NextElapseUSecMonotonic --value "+timer); !strings.HasPrefix(got, "active\n") {
		t.Errorf("the timer: %q", got)
	}
	logIn(t, m, k, "sudo -n systemctl stop "+timer)
	if got := logIn(t, m, k, "systemctl is-active "+timer+" || true"); got != "inactive" {
		t.Errorf("the stopped timer: %q", got)
	}
}
