package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// newFile writes a file of a cluster with a pool of so many replicas, and returns its path.
func newFile(t *testing.T, name string, replicas int, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".yaml")
	text := fmt.Sprintf("apiVersion: %s\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  cloud: docker\n  pools:\n"+
		"  - name: default\n    replicas: %d\n%s\n", api.APIVersion, name, replicas, strings.Join(more, "\n"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitRest waits until a cluster is as it was asked for.
func (p *testUser) awaitRest(name string) {
	p.t.Helper()
	eventually.Holds(p.t, "at rest", func() bool {
		c, err := world.Store.ReadCluster(p.t.Context(), name)
		return err == nil && c.Status.Phase == api.PhaseReady && c.Status.Operation == nil &&
			c.Status.ObservedGeneration == c.Metadata.Generation && isIdle(p.t, name)
	})
}

// isIdle reports whether no operation runs on a cluster.
func isIdle(t *testing.T, name string) bool {
	t.Helper()
	d, err := world.Temporal.DescribeWorkflowExecution(t.Context(), operation.WorkflowID(name), "")
	return err == nil && d.GetWorkflowExecutionInfo().GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// newApplied creates a cluster from a file.
func (p *testUser) newApplied(name, file string) {
	p.t.Helper()
	p.run("apply", "-f", file).checkOutput(p.t, 0, "cluster/"+name+" created\n", "")
	p.awaitRest(name)
}

func TestApplyCreatesChangesAndLeaves(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run("diff", "-f", newFile(t, "filed", 2)).checkOutput(t, 1, "cluster/filed does not exist and is created:\n", "")
	p.run("apply", "-f", newFile(t, "filed", 2)).checkOutput(t, 0, "cluster/filed created\n",
		"add     1 new machine   (control plane)")
	p.awaitRest("filed")
	before := readCluster(t, "filed")
	p.run("diff", "-f", newFile(t, "filed", 2)).checkOutput(t, 0, "cluster/filed is as its file says.\n", "")
	p.run("apply", "-f", newFile(t, "filed", 2)).checkOutput(t, 0, "cluster/filed unchanged\n", "")
	if now := readCluster(t, "filed"); now.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("the second apply wrote: %+v", now)
	}
	got := p.run("diff", "-f", newFile(t, "filed", 4, "    labels: {tier: web}"))
	got.checkOutput(t, 1, "  ~ spec.pools[default].replicas: 2 -> 4\n  + spec.pools[default].labels[tier]: web\n", "")
	got.checkOutput(t, 1, "add     2 new machines  default", "")
	p.run("apply", "-f", newFile(t, "filed", 4), "--wait").checkOutput(t, 0,
		"cluster/filed configured\nCluster filed is as its file says after ", "replicas: 2 -> 4")
	if c := readCluster(t, "filed"); len(c.Status.Machines) != 5 || !c.Metadata.CreatedByApply {
		t.Errorf("%+v", c)
	}
}

func TestApplyAsksBeforeItEndsMachines(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newApplied("asked", newFile(t, "asked", 3))
	before := readCluster(t, "asked")
	less := newFile(t, "asked", 1)
	p.run("apply", "-f", less).checkOutput(t, ExitUsage, "",
		"answer the question \"End 2 machines of cluster asked?\", so use --yes; nothing was changed")
	p.run("apply", "-f", less, "--dry-run").checkOutput(t, 0, "remove  sky-asked-3", "")
	if now := readCluster(t, "asked"); now.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("something was written: %+v", now)
	}
	p.run("apply", "-f", less, "--yes", "--wait").checkOutput(t, 0, "cluster/asked configured\n", "")
	if c := readCluster(t, "asked"); len(c.Status.Machines) != 2 {
		t.Errorf("%d machines", len(c.Status.Machines))
	}
}

func TestApplyTakesSeveralFilesAndInput(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.in = "apiVersion: " + api.APIVersion + "\nkind: Cluster\nmetadata: {name: piped}\nspec: {cloud: docker}\n"
	p.run("apply", "-f", newFile(t, "one", 1), "-f", filepath.Dir(newFile(t, "two", 1)), "-f", "-").checkOutput(t, 0,
		"cluster/one created\ncluster/two created\ncluster/piped created\n", "")
	for _, name := range []string{"one", "two", "piped"} {
		p.awaitRest(name)
	}
}

func TestDiffForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	got := p.run("diff", "-f", newFile(t, "machine", 2), "-o", "json")
	var page render.ApplyPlan
	if err := json.Unmarshal([]byte(got.out), &page); err != nil || got.code != 1 || got.err != "" {
		t.Fatalf("exit %d, %v: %s%s", got.code, err, got.out, got.err)
	}
	if len(page.Clusters) != 1 || page.Clusters[0].Action != "create" || len(page.Clusters[0].Steps) != 2 {
		t.Errorf("%+v", page)
	}
}

func TestRefusedChangesAreShownByDiff(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newApplied("rigid", newFile(t, "rigid", 1))
	before := readCluster(t, "rigid")
	moved := newFile(t, "rigid", 1, "  region: elsewhere")
	p.run("diff", "-f", moved).checkOutput(t, ExitUsage, "(refused: the network of the cluster",
		"rigid.yaml:9:11: spec.region")
	p.run("apply", "-f", moved, "--yes").checkOutput(t, ExitUsage, "", "rigid.yaml:9:11: spec.region")
	if now := readCluster(t, "rigid"); now.Metadata.Revision != before.Metadata.Revision {
		t.Errorf("something was written: %+v", now)
	}
}

func TestApplyToAFailedCreateSaysWhatToDo(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("fallen", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "launch", Reason: "Timeout", Message: "no machine"})
	}})
	p := newExternalUser(t)
	p.run("apply", "-f", newFile(t, "fallen", 1), "--wait").checkOutput(t, ExitFailed, "cluster/fallen created", "")
	page := p.run("describe", "cluster", "fallen").out
	_, next, _ := strings.Cut(page, "\nNext:\n")
	if want := "  skyctl apply -f FILE    # the file that the cluster was made from\n" +
		"  skyctl delete cluster fallen\n"; next != want {
		t.Errorf("next: %q, want %q", next, want)
	}
	moved := newFile(t, "fallen", 1, "  region: elsewhere")
	got := p.run("apply", "-f", moved)
	got.checkOutput(t, ExitUsage, "", "nothing runs on the cluster, so delete it (skyctl delete cluster fallen) and "+
		"create it again")
	if strings.Contains(got.err, "move the workload") {
		t.Errorf("there is no workload: %s", got.err)
	}
	p.run("diff", "-f", moved).checkOutput(t, ExitUsage, "skyctl delete cluster fallen", "")
	p.run("apply", "-f", newFile(t, "fallen", 2)).checkOutput(t, ExitConflict, "", "Apply the file as it was")
}

func TestBadFilesAreRefusedAllAtOnce(t *testing.T) {
	p := newUserWithoutState(t)
	p.run("apply", "-f", newFile(t, "bad", 1, "    replica: 2"), "-f", newFile(t, "worse", -1)).checkOutput(t,
		ExitUsage, "", "bad.yaml:9:5: ")
	p.run("diff", "-f", "none.yaml").checkOutput(t, ExitUsage, "", "none.yaml: no such file")
	p.run("apply").checkOutput(t, ExitUsage, "", "-f is needed")
	p.run("apply", "-f", "x", "--timeout", "1m").checkOutput(t, ExitUsage, "", "--timeout needs --wait")
}

// useEditor makes an editor of a shell script, whose $1 is the file.
func (p *testUser) useEditor(script string) {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "editor")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		p.t.Fatal(err)
	}
	p.env["EDITOR"] = path
}

func TestEditChangesWhatWasSaved(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	t.Setenv("TMPDIR", t.TempDir())
	p.newApplied("edited", newFile(t, "edited", 3, "    drain_timeout: 5m"))
	p.useEditor(`test "$(stat -c %a "$1")" = 600 && sed -i 's/replicas: 3$/replicas: 4/; /drain_timeout/d' "$1"`)
	p.run("edit", "cluster", "edited", "--wait").checkOutput(t, 0, "cluster/edited configured\n",
		"- spec.pools[default].drain_timeout: 5m")
	c := readCluster(t, "edited")
	if c.Spec.FindPool("default").Replicas != 4 || c.Spec.FindPool("default").DrainTimeout != 0 {
		t.Errorf("%+v", c.Spec)
	}
	p.useEditor("true")
	p.run("edit", "cluster", "edited").checkOutput(t, 0, "cluster/edited not changed\n", "")
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	p.run("diff", "-f", newFile(t, "edited", 3, "    drain_timeout: 5m")).checkOutput(t, 1,
		"replicas: 4 -> 3 (was 3 when last applied)\n", "")
}

func TestEditReopensWithTheErrorsAndKeepsTheText(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	p.newApplied("retried", newFile(t, "retried", 3))
	seen := filepath.Join(t.TempDir(), "seen")
	p.useEditor(`if grep -q mistakes "$1"; then cp "$1" ` + seen + `; sed -i 's/replicsa/replicas/' "$1"; else
sed -i 's/replicas: 3$/replicsa: 4/' "$1"; fi`)
	p.run("edit", "cluster", "retried").checkOutput(t, 0, "cluster/retried configured\n", "")
	text, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(text), "#   the text:") {
		t.Fatalf("%v: %s", err, text)
	}
	for i, l := range strings.Split(string(text), "\n") { // the place is that of the reopened file
		if strings.Contains(l, "replicsa: 4") && !strings.HasPrefix(l, "#") &&
			!strings.Contains(string(text), fmt.Sprintf("the text:%d:", i+1)) {
			t.Errorf("line %d: %s", i+1, text)
		}
	}
	p.awaitRest("retried")
	p.useEditor(`sed -i 's/replicas: 4$/replicas: many/' "$1"`)
	got := p.run("edit", "cluster", "retried")
	got.checkOutput(t, ExitUsage, "", "many")
	left, _ := os.ReadDir(temporary)
	if len(left) != 1 || !strings.Contains(got.err, "Your text is kept in "+filepath.Join(temporary, left[0].Name())) {
		t.Errorf("%v: %s", left, got.err)
	}
	kept, _ := os.ReadFile(filepath.Join(temporary, left[0].Name()))
	for i, l := range strings.Split(string(kept), "\n") { // the place is that of the file that is kept
		if strings.Contains(l, "replicas: many") && !strings.Contains(got.err, fmt.Sprintf("the text:%d:", i+1)) {
			t.Errorf("line %d of\n%s: %s", i+1, kept, got.err)
		}
	}
	p.useEditor("exit 3") // nothing is written, so nothing is kept
	got = p.run("edit", "cluster", "retried")
	got.checkOutput(t, ExitFailed, "", "the editor failed")
	if now, _ := os.ReadDir(temporary); len(now) != 1 || strings.Contains(got.err, "is kept") {
		t.Errorf("%v: %s", now, got.err)
	}
	p.run("edit", "cluster", "nobody").checkOutput(t, ExitNotFound, "", "nobody")
}

func TestEditRefusesWhatSomebodyElseChangedMeanwhile(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	t.Setenv("TMPDIR", t.TempDir())
	p.newApplied("shared", newFile(t, "shared", 3))
	flag := filepath.Join(t.TempDir(), "go")
	p.useEditor(`sed -i 's/replicas: 3$/replicas: 4/' "$1"; touch ` + flag + `; while test -e ` + flag +
		`; do sleep 0.05; done`)
	done := make(chan runResult, 1)
	go func() { done <- p.run("edit", "cluster", "shared") }()
	eventually.Holds(t, "the editor", func() bool { _, err := os.Stat(flag); return err == nil })
	other := newExternalUser(t)
	other.run("scale", "cluster", "shared", "--num_nodes", "6").checkOutput(t, 0, "", "")
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	(<-done).checkOutput(t, ExitConflict, "", "changed meanwhile (spec.pools[default].replicas: 3 -> 5)")
}
