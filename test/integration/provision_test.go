package integration

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// closed waits until no operation of a cluster is running, and returns all runs of the last one.
func (w *world) closed(cluster string) []run {
	w.t.Helper()
	var all []run
	eventually.Holds(w.t, "the operation on "+cluster+" is closed", func() bool {
		all = w.runsOf(cluster)
		return all[len(all)-1].status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	})
	return all
}

func TestCreateReachesReadyWithoutExposingSecrets(t *testing.T) {
	w := newWorld(t)
	ref := w.create("ready", 3, client.CreateOptions{})
	c := w.awaitReady(ref)
	for _, m := range c.Status.Machines {
		if m.State != api.MachineReady || m.ReadyAt.IsZero() || m.Address == "" {
			t.Errorf("%+v", m)
		}
	}
	for _, condition := range []api.ConditionType{api.MachinesLaunched, api.MachinesPrepared, api.ControlPlaneReady,
		api.NodesReady} {
		if s := c.Status.FindCondition(condition); s == nil || s.Status != api.ConditionTrue {
			t.Errorf("%s: %+v", condition, s)
		}
	}
	if r := c.Status.Resources.CPUs; r.Total != 6 || c.Status.Versions.Kubernetes == "" {
		t.Errorf("measured %+v, %+v", c.Status.Resources, c.Status.Versions)
	}
	if n := w.cloud.CountLaunches("sky-ready-", ""); n != 3 {
		t.Errorf("%d machines were created", n)
	}
	runs := w.closed(ref.Name)
	w.keep("provision", runs[0])
	secrets := w.secretsOf(ref)
	if len(secrets) != 5+3 {
		t.Errorf("%d secrets, want 8", len(secrets))
	}
	file, err := os.ReadFile(filepath.Join(w.home, ref.Name, "kubeconfig"))
	if err != nil || string(file) != secrets["kubeconfig"] {
		t.Errorf("the user's kubeconfig: %v", err)
	}
	text, log := textOf(t, runs[0].history), logged.String()
	if !strings.Contains(text, "sky-ready-2") || !strings.Contains(text, ref.UID) {
		t.Fatal("the text of the history is incomplete")
	}
	stored := ""
	for _, kv := range w.dump() {
		stored += string(kv.key) + "=" + string(kv.value) + "\n"
	}
	for key, secret := range secrets {
		for where, text := range map[string]string{"history": text, "log": log, "etcd": stored} {
			if leaks(text, secret) {
				t.Errorf("the %s holds %s", where, key)
			}
		}
	}
	w.delete(ref, false)
	w.awaitGone(ref)
	w.keep("delete", w.closed(ref.Name)[0])
	w.nothingLeft(ref)
}

// nothingLeft fails if anything of a cluster remains.
func (w *world) nothingLeft(ref api.Ref) {
	w.t.Helper()
	if left := w.cloud.ExistingMachines(api.MachineName(ref.Name, 0)[:len("sky-"+ref.Name+"-")]); len(left) > 0 {
		w.t.Errorf("machines remain: %+v", left)
	}
	if left := w.keysWith(ref); len(left) > 0 {
		w.t.Errorf("keys remain in etcd: %q", left)
	}
	if _, err := os.Stat(filepath.Join(w.home, ref.Name)); !os.IsNotExist(err) {
		w.t.Errorf("the user's files remain: %v", err)
	}
}

func TestCreateTriesTheNextPlacement(t *testing.T) {
	w := newWorld(t)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmit, Region: "here", Machine: "sky-failover-2",
		Err: simcloud.NewRefusal(cloud.Capacity)})
	ref := w.create("failover", 3, client.CreateOptions{})
	c := w.awaitReady(ref)
	if a := c.Status.Attempts; len(a) != 1 || a[0].Placement != here || a[0].Machine != "sky-failover-2" ||
		a[0].Reason != "Capacity" || a[0].Message == "" {
		t.Errorf("attempts: %+v", a)
	}
	if *c.Status.Placement != there || w.cloud.CountLaunches("sky-failover-", "there") != 3 ||
		len(w.cloud.ExistingMachines("sky-failover-")) != 3 {
		t.Errorf("placement %+v, machines %+v", c.Status.Placement, w.cloud.ExistingMachines("sky-failover-"))
	}
	w.keep("provision-failover", w.closed(ref.Name)[0])
}

func TestCreateWithoutCapacityReportsItAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: "sky-nowhere-0",
		Err: simcloud.NewRefusal(cloud.Quota)})
	ref := w.create("nowhere", 2, client.CreateOptions{})
	c := w.awaitFailed(ref)
	if f := c.Status.Failure; f.Reason != "Quota" || f.Machine != "sky-nowhere-0" || f.Step != "launch" ||
		len(c.Status.Attempts) != 2 {
		t.Errorf("failure %+v, attempts %+v", f, c.Status.Attempts)
	}
	if left := w.cloud.ExistingMachines("sky-nowhere-"); len(left) > 0 {
		t.Errorf("machines remain: %+v", left)
	}
	w.keep("provision-nowhere", w.closed(ref.Name)[0])
}

func TestFailedCreateReportsItsCauseAndLeavesNoMachine(t *testing.T) {
	w := newWorld(t)
	w.cloud.BreakUnit("sky-broken-1", "rke2-agent")
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpTerminate, Machine: "sky-broken-0", Times: 2,
		Err: simcloud.NewRefusal(cloud.Transient)})
	ref := w.create("broken", 3, client.CreateOptions{})
	c := w.awaitFailed(ref)
	f := c.Status.Failure
	if c.Status.Phase != api.PhaseError || f == nil || f.Step != "join the cluster" || f.Machine != "sky-broken-1" ||
		f.Reason != rke2.UnitFailed || f.At.IsZero() {
		t.Fatalf("phase %s, failure %+v", c.Status.Phase, f)
	}
	log := strings.Join(f.Log, "\n")
	if !strings.Contains(log, "broken by the test") || !strings.Contains(log, "[hidden]") ||
		leaks(log, w.secretsOf(ref)["agent-token"]) {
		t.Errorf("log: %s", log)
	}
	if left := w.cloud.ExistingMachines("sky-broken-"); len(left) > 0 {
		t.Errorf("machines remain: %+v", left)
	}
	for _, m := range c.Status.Machines {
		if m.State != api.MachineGone {
			t.Errorf("%s is %s", m.Name, m.State)
		}
	}
	failed := w.closed(ref.Name)[0]
	if leaks(textOf(t, failed.history), w.secretsOf(ref)["agent-token"]) {
		t.Error("the history contains the token that the machine printed")
	}
	w.hasNoTraceOf(ref, failed, w.secretsOf(ref)["agent-password"])
	if !strings.Contains(log, `red and \u202ereversed`) || strings.ContainsAny(log, "\x1b\u202e") {
		t.Errorf("the log contains terminal control sequences: %q", log)
	}
	w.keep("provision-failed", failed)
	w.cloud.BreakUnit("sky-broken-1", "")
	w.create("broken", 3, client.CreateOptions{})
	w.awaitReady(ref)
	w.keep("provision-again", w.closed(ref.Name)[0])
}

// hasNoTraceOf searches everything that users can read for a password that a machine printed: plain, in base64 and in
// halves.
func (w *world) hasNoTraceOf(ref api.Ref, r run, password string) {
	w.t.Helper()
	places := map[string]string{"the history": textOf(w.t, r.history), "the worker's log": logged.String()}
	for _, kv := range w.dump() {
		places[string(kv.key)] = string(kv.value)
	}
	// its length aligns the password to a base64 group
	inBase64 := base64.StdEncoding.EncodeToString([]byte("agent:" + password + "@head"))
	for where, text := range places {
		for _, trace := range []string{password[:16], password[16:], inBase64[8:48]} {
			if strings.Contains(text, trace) {
				w.t.Errorf("%s contains a password of cluster %s that its machine printed: %s", where, ref.Name, trace)
			}
		}
	}
}

func TestShellThatPrintsDoesNotFailACreate(t *testing.T) {
	w := newWorld(t)
	for i, startup := range []string{"echo hi; echo hi >&2",
		"echo arch=sparc cpus=none; printf 'send'; trap 'echo bye; exit 9' EXIT", "set -x; umask 077"} {
		w.cloud.SetNoisyShell(api.MachineName("noisy", i), startup)
	}
	ref := w.create("noisy", 3, client.CreateOptions{})
	if c := w.awaitReady(ref); inState(c, api.MachineReady) != 3 {
		t.Errorf("machines %+v", c.Status.Machines)
	}
}

func TestFailureQuotesAShellThatRunsNoCommand(t *testing.T) {
	w := newWorld(t)
	w.cloud.SetNoisyShell("sky-mute-1", "echo 'Please login as the user \"ubuntu\"'; exit 1")
	ref := w.create("mute", 2, client.CreateOptions{})
	f := w.awaitFailed(ref).Status.Failure
	if f.Machine != "sky-mute-1" || f.Reason != "LoginShellFailed" ||
		!strings.Contains(f.Message, `Please login as the user "ubuntu"`) {
		t.Errorf("failure %+v", f)
	}
}

func inState(c *api.Cluster, s api.MachineState) int {
	n := 0
	for _, m := range c.Status.Machines {
		if m.State == s {
			n++
		}
	}
	return n
}

func TestCreateReusesKeptMachines(t *testing.T) {
	w := newWorld(t)
	w.cloud.BreakUnit("sky-kept-1", "rke2-agent")
	ref := w.create("kept", 2, client.CreateOptions{KeepOnFailure: true})
	w.awaitFailed(ref)
	before := w.cloud.ExistingMachines("sky-kept-")
	w.keep("provision-kept", w.closed(ref.Name)[0])
	w.cloud.BreakUnit("sky-kept-1", "")
	w.create("kept", 2, client.CreateOptions{})
	w.awaitReady(ref)
	if after := w.cloud.ExistingMachines("sky-kept-"); len(before) != 2 || !slices.Equal(before, after) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	w.keep("provision-on-kept", w.closed(ref.Name)[0])
}

func TestLostCloudAnswerCreatesNoSecondMachine(t *testing.T) {
	w := newWorld(t)
	w.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpSubmitted, Times: 2, Err: simcloud.NewRefusal(cloud.Transient)})
	ref := w.create("lostanswer", 2, client.CreateOptions{})
	w.awaitReady(ref)
	if n := w.cloud.CountLaunches("sky-lostanswer-", ""); n != 2 {
		t.Errorf("%d machines were created", n)
	}
}

func TestTakenNameFailsACreateButNotItsDelete(t *testing.T) {
	w := newWorld(t)
	theirs := cloud.Machine{Name: "sky-namesake-1",
		Owner: cloud.Owner{Installation: "another", Cluster: "namesake", ClusterUID: "theirs"}}
	w.cloud.AddForeignMachine(theirs)
	ref := w.create("namesake", 2, client.CreateOptions{})
	if f := w.awaitFailed(ref).Status.Failure; f.Reason != "Conflict" || f.Machine != theirs.Name {
		t.Errorf("failure %+v", f)
	}
	w.delete(ref, false)
	w.awaitGone(ref)
	if left := w.cloud.ExistingMachines("sky-namesake-"); len(left) != 1 || left[0].Owner != theirs.Owner {
		t.Errorf("machines remain: %+v", left)
	}
}

func TestConcurrentCreatesAreOneOperation(t *testing.T) {
	w := newWorld(t)
	errs := make([]error, 2)
	uids := make([]string, 2)
	var both sync.WaitGroup
	for i, ops := range []*client.Client{w.ops, w.client()} {
		both.Go(func() {
			created, err := ops.CreateCluster(t.Context(), api.NewCluster("twins", "", spec(2), nil, time.Now()),
				client.CreateOptions{})
			if errs[i] = err; err == nil {
				uids[i] = created.Cluster.Metadata.UID
			}
		})
	}
	both.Wait()
	c := w.get(api.Ref{Name: "twins"})
	for i, err := range errs {
		refused := new(client.ConflictError)
		if err == nil && uids[i] != c.Metadata.UID || err != nil && !errors.As(err, &refused) {
			t.Errorf("create %d: %v, UID %s of %s", i, err, uids[i], c.Metadata.UID)
		}
	}
	if errs[0] != nil && errs[1] != nil {
		t.Error("both creates failed")
	}
	w.awaitReady(api.Ref{Name: "twins", UID: c.Metadata.UID})
	if n := w.cloud.CountLaunches("sky-twins-", ""); n != 2 {
		t.Errorf("%d machines were created", n)
	}
	runs := w.closed("twins")
	if len(runs) != 1 {
		t.Fatalf("%d runs", len(runs))
	}
	started := runs[0].history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	if started.GetFirstExecutionRunId() != runs[0].id {
		t.Errorf("the run %s continues %s", runs[0].id, started.GetFirstExecutionRunId())
	}
}
