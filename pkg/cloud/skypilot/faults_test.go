package skypilot_test

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// TestLaunchesSurviveAServerRestart restarts the server once for two launches. Their machines are created, and it ends
// before it gets the response. The process that waits for the first launch goes on; that of the second ended too.
func TestLaunchesSurviveAServerRestart(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true,
		Cluster: "sky-restart-0-*"})
	hangToo := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true,
		Cluster: "sky-half-0-*"})
	awaited, left := launchOf("restart", 0, onAWS("us-east-1"), newKey(t)), launchOf("half", 0, onAWS("us-east-1"),
		newKey(t))
	ref := submit(t, c, awaited)
	submit(t, c, left)
	type outcome struct {
		m   cloud.Machine
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		m, err := c.AwaitLaunch(eventually.Context(t, 5*time.Minute), awaited, ref, said(t, awaited))
		done <- outcome{m, err}
	}()
	eventually.HoldsWithin(t, 3*time.Minute, "AWS has created the machines",
		func() bool { return len(w.living(t, "restart")) == 1 && len(w.living(t, "half")) == 1 })
	if err := c.StopServer(eventually.Context(t, 3*time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*skytest.ActiveFault{hang, hangToo} {
		if err := f.Clear(); err != nil {
			t.Fatal(err)
		}
	}
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	living := w.living(t, "restart")
	if len(living) != 1 || living[0].ID != got.m.ID {
		t.Errorf("AWS has %+v, want just %s", living, got.m.ID)
	}
	w.holdIncompleteMachineIsCompleted(t, left)
}

// holdIncompleteMachineIsCompleted checks that a new process of skyctl finds a machine whose launch was cut off, and
// that another launch completes it.
func (w *world) holdIncompleteMachineIsCompleted(t *testing.T, req cloud.LaunchRequest) {
	t.Helper()
	c := w.newCloud(t)
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(listed) != 1 || listed[0].Name != req.Name || listed[0].Incarnation != req.Incarnation {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	ref, err := c.SubmitLaunch(eventually.Context(t, 3*time.Minute), req)
	if err != nil {
		t.Fatal(err)
	}
	m := await(t, c, req, ref)
	if living := w.living(t, req.Owner.Cluster); len(living) != 1 || living[0].ID != m.ID {
		t.Errorf("AWS has %+v, want just %s", living, m.ID)
	}
}

func TestTerminateCancelsARunningLaunch(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	hang := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true,
		Cluster: "sky-early-0-*"})
	req := launchOf("early", 0, onAWS("us-east-1"), newKey(t))
	ref := submit(t, c, req)
	eventually.HoldsWithin(t, 3*time.Minute, "the launch has reached AWS",
		func() bool { return hang.CountRequests() > 0 })
	if err := c.TerminateMachine(eventually.Context(t, 2*time.Minute), req.ToTarget()); err != nil {
		t.Fatal(err)
	}
	if err := hang.Clear(); err != nil {
		t.Fatal(err)
	}
	if left := w.living(t, "early"); len(left) > 0 {
		t.Errorf("AWS has %+v", left)
	}
	if listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner); err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	_, err := c.AwaitLaunch(eventually.Context(t, 3*time.Minute), req, ref, said(t, req))
	if err == nil {
		t.Error("the wait for a launch that was ended succeeds")
	}
}

func TestMachineOfAHalfFailedLaunchIsListed(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	made := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Hang: true, After: true,
		Cluster: "sky-init-0-*"})
	req := launchOf("init", 0, onAWS("eu-central-1"), newKey(t))
	ref := submit(t, c, req)
	eventually.HoldsWithin(t, 3*time.Minute, "AWS has created the machine",
		func() bool { return made.CountRequests() > 0 && len(w.living(t, "init")) == 1 })
	// From here on AWS does not list its machines there, so the launch fails and its machine cannot be terminated.
	silent := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "DescribeInstances", Region: "eu-central-1",
		Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation."})
	if err := made.Clear(); err != nil {
		t.Fatal(err)
	}
	_, err := c.AwaitLaunch(eventually.Context(t, 8*time.Minute), req, ref, said(t, req))
	if cloud.KindOf(err) != cloud.Access || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
	if err := silent.Clear(); err != nil {
		t.Fatal(err)
	}
	living := w.living(t, "init")
	listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), req.Owner)
	if err != nil || len(living) != 1 || len(listed) != 1 || listed[0].Name != req.Name ||
		listed[0].Incarnation != req.Incarnation {
		t.Errorf("AWS has %+v, and listed is %+v, %v", living, listed, err)
	}
	gone(t, c, req)
	if left := w.living(t, "init"); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
}

func TestLaunchThatLosesTheSecurityGroupRaceIsRetried(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	// What AWS answers to the second of two who open the same group at once.
	lost := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "AuthorizeSecurityGroupIngress", Region: "eu-central-1",
		Times: 1,
		Code:  "InvalidPermission.Duplicate", Message: "The specified rule already exists."})
	req := launchOf("race", 0, onAWS("eu-central-1"), newKey(t))
	m := await(t, c, req, submit(t, c, req))
	if living := w.living(t, "race"); len(living) != 1 || living[0].ID != m.ID || lost.CountRequests() != 1 {
		t.Errorf("AWS has %+v, want just %s", living, m.ID)
	}
}

// TestMachineOfASecondCloudIsListedWhileTheFirstIsSilent also takes the machine of the second cloud from its launch to
// its end.
func TestMachineOfASecondCloudIsListedWhileTheFirstIsSilent(t *testing.T) {
	w := start(t)
	c := w.newCloud(t, func(o *skypilot.Options) { o.CloudWithin = 16 * time.Second })
	k := newKey(t)
	mute, other := launchOf("mixed", 0, onAWS("us-east-1"), k), launchOf("mixed", 1, inPaperspace(t, c), k)
	await(t, c, mute, submit(t, c, mute))
	m := await(t, c, other, submit(t, c, other))
	if got := logIn(t, m, k, "sudo -n id -u"); got != "0" || m.SSHUser != skytest.PaperspaceUser {
		t.Errorf("user %s, sudo gives user %q", m.SSHUser, got)
	}
	for _, fault := range []struct {
		name string
		skytest.Fault
		kind cloud.ErrorKind
	}{
		{"refuses", skytest.Fault{Code: "UnauthorizedOperation",
			Message: "You are not authorized to perform this operation."}, cloud.Access},
		{"hangs", skytest.Fault{Hang: true}, cloud.Transient},
	} {
		t.Run(fault.name, func(t *testing.T) {
			fault.Cloud, fault.Operation = "aws", "DescribeInstances"
			f := w.fault(t, fault.Fault)
			// SkyPilot does not report a failed refresh, and uses its last result for a moment.
			eventually.HoldsWithin(t, 2*time.Minute, "the state of the machine on AWS is unknown", func() bool {
				listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), mute.Owner)
				partial := new(cloud.PartialError)
				late := error(nil)
				if errors.As(err, &partial) {
					late = partial.Clouds["paperspace"]
				}
				if late != nil && cloud.KindOf(late) == cloud.Transient {
					return false // on a busy computer this cloud, too, needs longer than it may
				}
				if !errors.As(err, &partial) || len(partial.Clouds) != 1 ||
					cloud.KindOf(partial.Clouds["aws"]) != fault.kind {
					t.Fatalf("error %v", err)
				}
				states := statesOf(listed)
				if len(states) != 2 || states[other.Name] != cloud.StateRunning {
					t.Fatalf("listed %v", states)
				}
				return states[mute.Name] == cloud.StateUnknown
			})
			if err := f.Clear(); err != nil {
				t.Fatal(err)
			}
			// The hanging requests continue for a moment, and SkyPilot makes one request per machine at a time: that
			// took more than a minute on a busy computer.
			eventually.HoldsWithin(t, 4*time.Minute, "all is known again", func() bool {
				listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), mute.Owner)
				states := statesOf(listed)
				return err == nil && len(states) == 2 && states[mute.Name] == cloud.StateRunning &&
					states[other.Name] == cloud.StateRunning
			})
		})
	}
	gone(t, c, other)
	gone(t, c, mute)
	if err := c.RemoveClusterResources(eventually.Context(t, 3*time.Minute), other.Owner); err != nil {
		t.Error(err)
	}
	if listed, err := c.ListMachines(eventually.Context(t, 3*time.Minute), other.Owner); err != nil || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func statesOf(machines []cloud.Machine) map[string]cloud.MachineState {
	states := map[string]cloud.MachineState{}
	for _, m := range machines {
		states[m.Name] = m.State
	}
	return states
}

func TestGroupInUseDoesNotDelayOtherQuestions(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	w.rank(t, c)
	err := w.env.AWS.CallAPI(t.Context(), "ec2", "us-east-1", "CreateSecurityGroup",
		url.Values{"GroupName": {"skyctl-uid-held"}, "GroupDescription": {"of a test"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	held := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "DeleteSecurityGroup", Region: "us-east-1",
		Code: "DependencyViolation", Message: "resource sg-1 has a dependent object"})
	released := make(chan error, 1)
	go func() { released <- c.RemoveClusterResources(eventually.Context(t, 3*time.Minute), owner("held")) }()
	eventually.HoldsWithin(t, time.Minute, "AWS has refused to delete the group",
		func() bool { return held.CountRequests() > 0 })
	w.rank(t, c)
	select {
	case err := <-released:
		t.Fatalf("another question was answered only after the group was abandoned: %v", err)
	default:
	}
	if err := held.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := <-released; err != nil || w.group(t, "held") != nil {
		t.Errorf("the group is still there, %v", err)
	}
}

func (w *world) rank(t *testing.T, c *skypilot.Cloud) {
	t.Helper()
	if _, err := c.RankPlacements(eventually.Context(t, 4*time.Minute),
		api.GroupSpec{Cloud: "aws", NumNodes: 1}, api.Neighbors{}); err != nil {
		t.Fatal(err)
	}
}

func TestNoMachineIsLostWithSkyPilotsDatabase(t *testing.T) {
	w := start(t)
	c := w.newCloud(t)
	onAmazon, elsewhere := launchOf("amnesia", 0, onAWS("us-west-2"), newKey(t)), launchOf("amnesia", 1,
		inPaperspace(t, c), newKey(t))
	var known cloud.KnownMachines
	var targets []cloud.Target
	for _, req := range []cloud.LaunchRequest{onAmazon, elsewhere} {
		ref, err := c.SubmitLaunch(eventually.Context(t, 2*time.Minute), req)
		if err != nil {
			t.Fatal(err)
		}
		target := cloud.TargetOf(await(t, c, req, ref))
		targets = append(targets, target)
		known.Machines = append(known.Machines,
			cloud.KnownMachine{Cloud: target.Cloud, Name: target.Name, Incarnation: target.Incarnation})
	}
	if listed, err := c.ListVerified(eventually.Context(t, 3*time.Minute), onAmazon.Owner, known); err != nil ||
		len(listed) != 2 {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	w.loseDatabases(t, c)
	give := w.withoutCredentials(t)
	_, err := c.ListVerified(eventually.Context(t, 3*time.Minute), onAmazon.Owner, known)
	partial := new(cloud.PartialError)
	if !errors.As(err, &partial) || !partial.LacksCloud("aws") || !partial.LacksCloud("paperspace") {
		t.Errorf("without access to AWS: %v", err)
	}
	if err := c.TerminateMachine(eventually.Context(t, 3*time.Minute), targets[0]); err == nil {
		t.Error("a machine counts as terminated although AWS did not answer")
	}
	give()
	c = w.newCloud(t) // which remembers no refusal
	listed, err := c.ListVerified(eventually.Context(t, 3*time.Minute), onAmazon.Owner, known)
	if !errors.As(err, &partial) || partial.LacksCloud("aws") || !partial.LacksCloud("paperspace") ||
		len(listed) != 1 || listed[0].ID != targets[0].ID {
		t.Errorf("listed %+v, %v", listed, err)
	}
	if err := c.TerminateMachine(eventually.Context(t, 3*time.Minute), targets[1]); err == nil {
		t.Error("a machine counts as ended that SkyPilot has no record of")
	}
	if err := c.TerminateMachine(eventually.Context(t, 3*time.Minute), targets[0]); err != nil {
		t.Error(err)
	}
	if err := c.RemoveClusterResources(eventually.Context(t, 3*time.Minute), onAmazon.Owner); err != nil ||
		w.group(t, "amnesia") != nil {
		t.Errorf("the group is still there, %v", err)
	}
	if left := w.living(t, "amnesia"); len(left) > 0 {
		t.Errorf("AWS still has %+v", left)
	}
}

// withoutCredentials removes the AWS credentials, until they are restored.
func (w *world) withoutCredentials(t *testing.T) (give func()) {
	t.Helper()
	i := slices.IndexFunc(w.env.EnvVars(), func(kv string) bool { return strings.HasPrefix(kv, "HOME=") })
	file := filepath.Join(strings.TrimPrefix(w.env.EnvVars()[i], "HOME="), ".aws", "credentials")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(file, file+".away")
	return func() { move(file+".away", file) }
}

// loseDatabases ends the server and removes all that it remembers; prices and keys stay.
func (w *world) loseDatabases(t *testing.T, c *skypilot.Cloud) {
	t.Helper()
	if err := c.StopServer(eventually.Context(t, 3*time.Minute)); err != nil {
		t.Fatal(err)
	}
	lost := 0
	err := filepath.WalkDir(filepath.Join(w.dir, "skypilot", "state"),
		func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".db") {
				return err
			}
			lost++
			return os.Remove(path)
		})
	if err != nil || lost == 0 {
		t.Fatalf("%d databases were lost, %v", lost, err)
	}
}

func TestLaunchIsRetriedOnceCredentialsAreRenewed(t *testing.T) {
	w := start(t)
	c := w.cloud(t)
	req := launchOf("renew", 0, onAWS("us-east-1"), newKey(t))
	// SkyPilot itself retries throttled requests for minutes, so this test uses an error that it does not retry.
	ill := w.fault(t, skytest.Fault{Cloud: "aws", Operation: "RunInstances", Cluster: req.Name + "-*",
		Code: "ExpiredToken", Message: "The provided token has expired."})
	ref := submit(t, c, req)
	told := false
	m, err := c.AwaitLaunch(eventually.Context(t, 5*time.Minute), req, ref, func(s string) {
		said(t, req)(s)
		if strings.Contains(s, "launched again") && strings.Contains(s, "ExpiredToken") && !told {
			told = true
			if err := ill.Clear(); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || !told {
		t.Fatalf("the reported reason: %v; %v", told, err)
	}
	if living := w.living(t, "renew"); len(living) != 1 || living[0].ID != m.ID {
		t.Errorf("AWS has %+v, want just %s", living, m.ID)
	}
}
