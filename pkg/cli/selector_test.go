package cli

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// storeLabeledCluster stores a READY cluster of one machine with labels.
func storeLabeledCluster(t *testing.T, name string, labels map[string]string) *api.Cluster {
	t.Helper()
	c := api.NewCluster(name, "uid-of-"+name, api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, labels,
		time.Now().UTC())
	c, err := world.Store.CreateCluster(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m := api.NewMachine(name, 0, "", "inc", skydstub.DefaultPlacement, time.Now().UTC())
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	if err := world.SucceedCreate(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	return readCluster(t, name)
}

// storeTeams stores two clusters of team vision and one of team web.
func storeTeams(t *testing.T) {
	t.Helper()
	storeLabeledCluster(t, "vision-a", map[string]string{"team": "vision", "env": "prod"})
	storeLabeledCluster(t, "vision-b", map[string]string{"team": "vision"})
	storeLabeledCluster(t, "web-a", map[string]string{"team": "web"})
}

func TestGetSelectsClustersByLabels(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	for selector, want := range map[string]string{
		"team=vision": "vision-a vision-b", "team in (vision,web),!env": "vision-b web-a", "team!=vision": "web-a",
		"env": "vision-a", "team==web": "web-a",
	} {
		var list render.ClusterList
		got := p.run("get", "clusters", "-l", selector, "-o", "json")
		if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.code != 0 || got.err != "" {
			t.Errorf("%s: exit %d, %v, %s%s", selector, got.code, err, got.out, got.err)
		}
		var names []string
		for _, c := range list.Items {
			names = append(names, c.Metadata.Name)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s: %v, want %s", selector, names, want)
		}
	}
	if got := p.run("get", "clusters", "--selector", "team=web"); strings.Contains(got.out, "vision") ||
		!strings.Contains(got.out, "web-a") {
		t.Errorf("%s%s", got.out, got.err)
	}
	p.run("get", "clusters", "-l", "team=none").checkOutput(t, 0, "NAME ", "No cluster matches team=none.\n")
	if got := p.run("get", "clusters", "-l", "team=none", "-o", "json"); got.err != "" ||
		!strings.Contains(got.out, `"items": []`) {
		t.Errorf("%s%s", got.out, got.err)
	}
}

func TestWatchFollowsTheSelectedClusters(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() {
		done <- Run(ctx, p.environment(nil, &out, &errs), []string{"get", "clusters", "-l", "team=vision", "-w"})
	}()
	eventually.Holds(t, "both rows", func() bool { return strings.Contains(out.String(), "vision-b") })
	p.run("label", "clusters", "web-a", "env=test").checkOutput(t, 0, "Labeled cluster web-a", "")
	p.run("label", "cluster", "vision-b", "team=other", "--overwrite").checkOutput(t, 0, "Labeled", "")
	eventually.Holds(t, "the last row of vision-b", func() bool { return strings.Contains(out.String(), "other") })
	p.run("label", "cluster", "vision-b", "env=x")
	p.run("label", "cluster", "web-a", "team=vision", "--overwrite")
	eventually.Holds(t, "a row of web-a", func() bool { return strings.Contains(out.String(), "web-a") })
	interrupt()
	if code := <-done; code != ExitInterrupted {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	if n := len(regexp.MustCompile(`(?m)^vision-b `).FindAllString(out.String(), -1)); n != 2 ||
		strings.Contains(out.String(), "env: x") {
		t.Errorf("%d rows of vision-b\n%s", n, out.String())
	}
}

func TestBadSelectorsAreRefused(t *testing.T) {
	p := newExternalUser(t)
	for _, command := range [][]string{{"get", "clusters"}, {"get", "events"}, {"delete", "clusters", "--yes"},
		{"pause", "reconcile"}, {"resume", "reconcile"}, {"reconcile"}, {"label", "clusters", "a=b"}} {
		for _, selector := range []string{"", " ", "team=", "=x", "a in b", "team=vision;env"} {
			got := p.run(append(command, "-l", selector)...)
			if selector == "team=" { // an empty value is valid
				continue
			}
			if got.code != ExitUsage || got.out != "" || !strings.Contains(got.err, "a label selector, such as") ||
				!strings.Contains(got.err, "selector ") {
				t.Errorf("%v -l %q: exit %d, %s%s", command, selector, got.code, got.out, got.err)
			}
		}
		if command[0] == "label" {
			continue
		}
		got := p.run(append(command, "dev", "-l", "a=b")...)
		got.checkOutput(t, ExitUsage, "", "use names or -l, not both (dev, -l a=b)")
	}
}

func TestEventsOfSelectedClusters(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	for _, name := range []string{"vision-a", "web-a"} {
		if err := world.Store.RecordEvent(t.Context(), api.Event{Cluster: name, UID: readCluster(t, name).Metadata.UID,
			Type: api.EventNormal, Reason: "Tried", Message: "of " + name, First: time.Now(),
			Last: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	p := newExternalUser(t)
	if got := p.run("get", "events", "-l", "team=web"); got.code != 0 || !strings.Contains(got.out, "of web-a") ||
		strings.Contains(got.out, "of vision-a") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestPauseResumeAndReconcileSelectedClusters(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	p.run("pause", "reconcile", "-l", "team=vision").checkOutput(t, 0, "Repairs of cluster vision-a are paused.", "")
	if readCluster(t, "vision-b").Status.PausedAt.IsZero() || !readCluster(t, "web-a").Status.PausedAt.IsZero() {
		t.Error("not exactly the selected clusters are paused")
	}
	p.run("resume", "reconcile", "-l", "env").checkOutput(t, 0, "Repairs of cluster vision-a are resumed.", "")
	if readCluster(t, "vision-b").Status.PausedAt.IsZero() || !readCluster(t, "vision-a").Status.PausedAt.IsZero() {
		t.Error("not exactly the selected clusters are resumed")
	}
	got := p.run("reconcile", "-l", "team=vision")
	if got.code != 0 || !strings.Contains(got.err, "Checking cluster vision-a\n") ||
		!strings.Contains(got.err, "Checking cluster vision-b\n") || strings.Contains(got.err, "web-a") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	p.run("pause", "reconcile", "--all").checkOutput(t, 0, "Repairs of cluster vision-a are paused.", "")
	if readCluster(t, "web-a").Status.PausedAt.IsZero() {
		t.Error("--all left a cluster out")
	}
	p.run("resume", "reconcile", "--all").checkOutput(t, 0, "Repairs of cluster web-a are resumed.", "")
	got = p.run("reconcile", "--all", "--wait")
	if got.code != 0 || !strings.Contains(got.err, "Checking cluster vision-b\n") ||
		!strings.Contains(got.err, "Checking cluster web-a\n") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	for _, verb := range []string{"pause", "resume"} {
		p.run(verb, "reconcile", "-l", "team=none").check(t, 0, "", "No cluster matches team=none.\n")
	}
}

func TestDeleteSelectedClusters(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	p.run("delete", "clusters", "-l", "team=vision").checkOutput(t, ExitUsage, "",
		"deleting the clusters that match team=vision needs confirmation, and there is no terminal: use --yes")
	p.run("delete", "clusters", "-l", "team=none", "--yes").check(t, 0, "", "No cluster matches team=none.\n")
	p.run("delete", "clusters", "vision-a", "absent", "web-a", "--yes").checkOutput(t, ExitNotFound, "",
		`cluster "absent" does not exist`)
	for _, name := range []string{"vision-a", "vision-b", "web-a"} {
		if c := readCluster(t, name); c.Status.Phase != api.PhaseReady {
			t.Errorf("%s is %s", name, c.Status.Phase)
		}
	}
	p.run("delete", "clusters", "-l", "team=vision", "--yes", "--wait").checkOutput(t, 0, "Cluster vision-a is being "+
		"deleted.\nCluster vision-b is being deleted.\nDeleted cluster vision-a.\nDeleted cluster vision-b.\n", "")
	clusters, err := world.Store.ListClusters(t.Context())
	if err != nil || len(clusters) != 1 || clusters[0].Metadata.Name != "web-a" {
		t.Errorf("%v, %d clusters are left", err, len(clusters))
	}
	p.run("delete", "cluster", "web-a", "web-a", "--yes").checkOutput(t, ExitUsage, "", "cluster web-a is named twice")
}

func TestDeleteOfSeveralClustersNamesEachAndAsksOnce(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	for _, tt := range []struct {
		answer string
		code   int
	}{{"n\n", ExitFailed}, {"y\n", 0}} {
		term := pseudoterminal.Open(t, 80, 24)
		if _, err := term.Near.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		code := Run(t.Context(), p.onTerminal(term), []string{"delete", "clusters", "vision-b", "web-a"})
		eventually.Holds(t, "both are named, and asked for once", func() bool {
			return strings.Contains(term.Text(), "  vision-b (READY, 1 machine)\n") &&
				strings.Contains(term.Text(), "  web-a (READY, 1 machine)\n") &&
				strings.Count(term.Text(), "Delete these 2 clusters? [y/N]") == 1
		})
		if code != tt.code {
			t.Errorf("%q: exit %d: %s", tt.answer, code, term.Text())
		}
		if tt.code != 0 {
			if c := readCluster(t, "web-a"); c.Status.Phase != api.PhaseReady {
				t.Errorf("web-a is %s", c.Status.Phase)
			}
		}
	}
	eventually.Holds(t, "web-a is gone", func() bool {
		_, err := world.Store.ReadCluster(t.Context(), "web-a")
		missing, ok := err.(*store.NotFoundError)
		return ok && missing.Cluster == "web-a"
	})
	readCluster(t, "vision-a")
}

func TestDeleteWithYesDoesNotAsk(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.createReady("unasked")
	term := pseudoterminal.Open(t, 120, 24) // without -y it would ask here, and wait
	ctx := eventually.Context(t, time.Minute)
	if code := Run(ctx, p.onTerminal(term), []string{"delete", "cluster", "unasked", "-y"}); code != ExitOK {
		t.Fatalf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "it is deleted", func() bool { return p.run("get", "cluster", "unasked").code == ExitNotFound })
	if text := term.Text(); strings.Contains(text, "[y/N]") || strings.Contains(text, "Delete cluster unasked?") {
		t.Errorf("it asked: %q", text)
	}
}

func TestDeleteIgnoresMissingClustersIfAsked(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	if got := p.run("delete", "cluster", "never-made", "-y"); got.code != ExitNotFound {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	p.run("delete", "cluster", "never-made", "-y", "--ignore-not-found").check(t, 0, "", "")
	p.createReady("is-made")
	got := p.run("delete", "clusters", "never-made", "is-made", "-y", "--ignore-not-found", "-o", "name")
	got.check(t, 0, "cluster/is-made\n", got.err)

	p.run("delete", "cluster", "never-made", "--ignore-not-found").check(t, 0, "", "")
	p.createReady("unconfirmed")
	if got := p.run("delete", "clusters", "never-made", "unconfirmed", "--ignore-not-found"); got.code != ExitUsage ||
		!strings.Contains(got.err, "needs confirmation") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

func TestDeleteIgnoresAClusterThatIsGoneOnceItIsConfirmed(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	for _, more := range [][]string{nil, {"--wait"}} {
		p.createReady("twice")
		term := pseudoterminal.Open(t, 120, 24)
		ended := make(chan int, 1)
		ctx, args := eventually.Context(t, 2*time.Minute), []string{"delete", "cluster", "twice", "--ignore-not-found"}
		go func() { ended <- Run(ctx, p.onTerminal(term), append(args, more...)) }()
		eventually.Holds(t, "the question", func() bool { return strings.Contains(term.Text(), "[y/N]") })
		if got := p.run("delete", "cluster", "twice", "-y", "--wait"); got.code != ExitOK {
			t.Fatalf("exit %d: %s", got.code, got.err)
		}
		if _, err := term.Near.WriteString("y\n"); err != nil {
			t.Fatal(err)
		}
		if code := <-ended; code != ExitOK || strings.Contains(term.Text(), "✗") {
			t.Errorf("%v: exit %d: %q", more, code, term.Text())
		}
	}
}

func TestDryRunTakesTheModesOfKubectl(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	alone := p.run(createArgs("tried", "--dry-run")...)
	for _, mode := range []string{"client", "server"} {
		if got := p.run(createArgs("tried", "--dry-run="+mode)...); got.code != 0 || got.out != alone.out {
			t.Errorf("%s: exit %d: %q, want %q", mode, got.code, got.out, alone.out)
		}
	}
	if got := p.run("get", "cluster", "tried"); got.code != ExitNotFound {
		t.Errorf("a dry run creates a cluster: %q", got.out)
	}
	got := p.run(createArgs("tried", "--dry-run=none")...)
	if got.code != 0 || p.run("get", "cluster", "tried").code != 0 {
		t.Errorf("none: exit %d: %s", got.code, got.err)
	}
}

func TestPoolsAreListedAsNodegroupsOfEksctl(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.createReady("grouped")
	want := p.run("get", "pools", "grouped", "-o", "name")
	if want.code != 0 || want.out == "" {
		t.Fatalf("exit %d: %s", want.code, want.err)
	}
	p.run("get", "nodegroup", "--cluster", "grouped", "-o", "name").check(t, 0, want.out, want.err)
}

func TestLevelOfVerboseIsNoName(t *testing.T) {
	p := newUserWithoutState(t)
	got := p.run("get", "clusters", "-v", "6")
	if got.code != ExitUsage || !strings.Contains(got.err, "-v=6") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	p.checkNothingWritten()
}

func TestUserBeforeAClusterIsRefused(t *testing.T) {
	p := newUserWithoutState(t)
	for _, args := range [][]string{{"ssh", "root@dev"}, {"exec", "root@dev", "--", "id"},
		{"cp", "-r", "root@dev:/a", "b"}} {
		if got := p.run(args...); got.code != ExitUsage || !strings.Contains(got.err, "skyctl ssh dev -t -- sudo -i") {
			t.Errorf("%v: exit %d: %s", args, got.code, got.err)
		}
	}
	p.checkNothingWritten()
}
