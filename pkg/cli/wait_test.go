package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func TestWaitGoalsAreReadAndJudged(t *testing.T) {
	c := api.NewCluster("dev", "uid", api.GroupSpec{}, nil, fixture.Noon)
	c.Status.Phase = api.PhaseReady
	c.Status.ObservedGeneration = 3
	c.Status.SetCondition(api.Condition{Type: api.InSync, Status: api.ConditionFalse}, fixture.Noon)
	for _, tt := range []struct {
		text string
		met  bool
	}{
		{"condition=Ready", true},
		{"condition=ready=false", false},
		{"condition=Stopped=False", true},
		{"condition=insync", false},
		{"condition=InSync=False", true},
		{"condition=AddOnsReady", false},
		{"phase=READY", true},
		{"phase=stopped,ready", true},
		{"phase=STOPPED", false},
		{"delete", false},
		{"jsonpath={.status.phase}=READY", true},
		{`jsonpath='{.status.phase}'=READY`, true},
		{"jsonpath=.status.phase=READY", true},
		{"jsonpath={.status.observed_generation}=3", true},
		{"jsonpath={.status.phase}=ERROR", false},
		{"jsonpath={.status.phase}", true},
		{"jsonpath={.status.endpoint}", false},
		{`jsonpath={.status.conditions[?(@.type=="InSync")].status}=False`, true},
	} {
		goal, err := parseWaitGoal(waitClusters, tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		met, err := goal.isMet(c, string(c.Status.Phase), c.Status.Conditions)
		if err != nil || met != tt.met {
			t.Errorf("%s: %v, %v", tt.text, met, err)
		}
	}
}

func TestBadWaitGoalsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"create":         "wait for condition=Ready",
		"condition=Redy": "Ready, Stopped, MachinesLaunched", "condition=Ready=maybe": "True, False or Unknown",
		"condition=Ready=Unknown": "True or False", "phase=DONE": "INIT, PROVISIONING", "ready": "condition=NAME",
		"jsonpath={.a": "jsonpath", "jsonpath={.a}b": "jsonpath", "jsonpath={.a}=": "jsonpath", "delete=now": "delete",
	} {
		if _, err := parseWaitGoal(waitClusters, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for want, subject := range map[string]waitSubject{"Ready": waitMachines, "Kept": waitSnapshots} {
		_, err := parseWaitGoal(subject, "create")
		if err == nil || !strings.HasSuffix(err.Error(), "wait for condition="+want) {
			t.Errorf("%s: %v", subject.kind, err)
		}
		if _, err := parseWaitGoal(subject, "condition="+want); err != nil {
			t.Error(err)
		}
	}
	for _, args := range []string{"wait cluster/dev", "wait cluster/dev --for=ready", "wait cluster --for=delete",
		"wait cluster dev --all --for=delete", "wait cluster dev --for=delete --timeout=-1s",
		"wait machine/dev --for=delete"} {
		if r := newExternalUser(t).run(strings.Fields(args)...); r.code != ExitUsage {
			t.Errorf("%s: exit %d: %s", args, r.code, r.err)
		}
	}
}

// holdCreates makes creates of a cluster stop at PROVISIONING until the returned function is called.
func holdCreates(t *testing.T, cluster string, then func(context.Context, *skydstub.World, api.Ref) error) func() {
	t.Helper()
	hold := make(chan struct{})
	world.SetBehavior(cluster, skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		if err := w.MoveCluster(ctx, in.Cluster, api.PhaseProvisioning, api.MachineLaunching, "launch"); err != nil {
			return err
		}
		select {
		case <-hold:
			return then(ctx, w, in.Cluster)
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	return func() { close(hold) }
}

func TestWaitFollowsAClusterByItsOperation(t *testing.T) {
	world.StartWorker(t)
	release := holdCreates(t, "awaited", func(ctx context.Context, w *skydstub.World, ref api.Ref) error {
		return w.SucceedCreate(ctx, ref)
	})
	p := newExternalUser(t)
	p.run(createArgs("awaited")...)
	if r := p.run("wait", "cluster/awaited", "--for=condition=Ready", "--timeout=0"); r.code != ExitTimeout ||
		!strings.Contains(r.err, "timed out waiting for --for=condition=Ready on cluster awaited") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	if r := p.run("wait", "cluster/awaited", "--for=condition=Ready", "--timeout=50ms"); r.code != ExitTimeout {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	term := pseudoterminal.Open(t, 100, 24)
	ended := make(chan int, 1)
	go func() {
		ended <- Run(t.Context(), p.onTerminal(term), []string{"wait", "--for=condition=ready", "cluster/awaited",
			"machine/sky-awaited-0"})
	}()
	eventually.Holds(t, "the progress", func() bool { return strings.Contains(term.Text(), "launch") })
	release()
	if code := <-ended; code != ExitOK {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "both are met", func() bool {
		return strings.Contains(term.Text(), "cluster/awaited condition met") &&
			strings.Contains(term.Text(), "machine/sky-awaited-0 condition met")
	})
	p.run("wait", "cluster/awaited", "--for=phase=READY", "-o", "name").check(t, ExitOK, "cluster/awaited\n", "")
	p.run("wait", "cl", "awaited", "--for=jsonpath={.status.phase}=READY").check(t, ExitOK,
		"cluster/awaited condition met\n", "")
}

func TestWaitEndsEarlyWhereItIsNoUse(t *testing.T) {
	world.StartWorker(t)
	release := holdCreates(t, "doomed", func(ctx context.Context, w *skydstub.World, ref api.Ref) error {
		return w.FailCreate(ctx, ref, api.Failure{Step: "launch", Reason: "NoCapacity", Message: "none left"})
	})
	p := newExternalUser(t)
	p.run(createArgs("doomed")...)
	ended := make(chan runResult, 1)
	go func() { ended <- p.run("wait", "cluster/doomed", "--for=condition=Ready") }()
	eventually.Holds(t, "PROVISIONING", func() bool {
		return strings.Contains(p.run("get", "cluster", "doomed").out, "PROVISIONING")
	})
	release()
	if r := <-ended; r.code != ExitFailed || !strings.Contains(r.err, "none left") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := p.runCtx(ctx, "wait", "cluster/doomed", "--for=condition=Ready"); r.code != ExitInterrupted {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

func TestWaitForDelete(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run("wait", "cluster/never-there", "--for=delete").check(t, ExitOK, "cluster/never-there condition met\n", "")
	p.run("wait", "machine/sky-never-there-1", "--for=delete").check(t, ExitOK,
		"machine/sky-never-there-1 condition met\n", "")
	for _, args := range []string{"wait cluster/never-there --for=condition=Ready",
		"wait machine/sky-never-there-1 --for=condition=Ready", "wait cluster -l team=nobody --for=condition=Ready",
		"wait snapshot/never --cluster never-there --for=condition=Kept"} {
		if r := p.run(strings.Fields(args)...); r.code != ExitNotFound {
			t.Errorf("%s: exit %d: %s", args, r.code, r.err)
		}
	}
	if r := p.run("wait", "cluster", "-l", "team=nobody", "--for=delete"); r.code != ExitOK {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	p.run(createArgs("leaving")...)
	p.run("wait", "cluster/leaving", "--for=condition=Ready")
	ended := make(chan runResult, 1)
	go func() { ended <- p.run("wait", "cluster/leaving", "--for=delete") }()
	if r := p.run("delete", "cluster", "leaving", "--yes"); r.code != ExitOK {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	if r := <-ended; r.code != ExitOK || r.out != "cluster/leaving condition met\n" {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
}
