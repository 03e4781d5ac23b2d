package cli

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// setUpOrphans sets up orphans that disappear once terminated, except for one.
func setUpOrphans() *[]string {
	var ended []string
	world.SetBehavior("", skydstub.Behavior{Orphans: func(_ context.Context, _ *skydstub.World,
		in operation.OrphansInput) (operation.OrphansResult, error) {
		r := operation.OrphansResult{Orphans: fixture.NewOrphans()}
		for i, o := range r.Orphans {
			for _, name := range in.Terminate {
				if name != o.Name {
					continue
				}
				ended = append(ended, name)
				r.Orphans[i].State = "terminated"
				if o.Cloud == "docker" {
					r.Orphans[i].State, r.Orphans[i].Error = "", "the engine is silent"
				}
			}
		}
		return r, nil
	}})
	return &ended
}

func TestOrphansAreShownAndTerminatedByName(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	ended := setUpOrphans()
	if got := p.run("get", "orphans"); got.code != 0 || !strings.Contains(got.out, "sky-train-1") ||
		!strings.Contains(got.out, "$32.77") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	if got := p.run("delete", "orphans", "sky-train-1", "sky-nobody-1", "--yes"); got.code != ExitNotFound ||
		!strings.Contains(got.err, "sky-nobody-1") || len(*ended) != 0 {
		t.Errorf("an unknown name: exit %d, %q, %q, terminated %v", got.code, got.out, got.err, *ended)
	}
	if got := p.run("delete", "orphans", "sky-train-1", "-y"); got.code != 0 ||
		got.out != "Terminated machine sky-train-1 on aws.\n" || len(*ended) != 1 {
		t.Errorf("exit %d, %q, %q, ended %v", got.code, got.out, got.err, *ended)
	}
	got := p.run("delete", "orphans", "-y")
	if got.code != ExitFailed || !strings.Contains(got.out, "Terminated machine sky-train-1 on aws.\n") ||
		!strings.Contains(got.err, "machine sky-dev-0 on docker could not be terminated: the engine is silent") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	world.SetBehavior("", skydstub.Behavior{})
	if got := p.run("delete", "orphans", "-y"); got.code != 0 || got.out != "There are no orphans.\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	if got := p.run("get", "orphans", "-o", "yaml"); got.code != 0 || got.err != "" ||
		!strings.Contains(got.out, "items: []\nkind: OrphanList\n") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestCopyIsTerminatedOnlyByName(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	var ended []string
	world.SetBehavior("", skydstub.Behavior{Orphans: func(_ context.Context, _ *skydstub.World,
		in operation.OrphansInput) (operation.OrphansResult, error) {
		ended = append(ended, in.Terminate...)
		r := operation.OrphansResult{Orphans: []api.Orphan{
			{Cloud: "docker", Name: "backup", ID: "c0ffee", Cluster: "dev",
				Conflict: "its labels make it sky-dev-0: it may be a copy, or was renamed"},
			{Cloud: "aws", Name: "sky-dev-1", ID: "i-1", Cluster: "dev",
				Conflict: "it carries the same labels as sky-dev-1 (id i-2): one may be a copy of the other"},
			{Cloud: "aws", Name: "sky-dev-1", ID: "i-2", Cluster: "dev",
				Conflict: "it carries the same labels as sky-dev-1 (id i-1): one may be a copy of the other"},
		}}
		return r, nil
	}})
	for _, words := range []string{"only if you name it",
		"Machine backup will not be terminated automatically: its labels make it sky-dev-0",
		"skyctl delete orphans i-1\n"} {
		if got := p.run("get", "orphans"); got.code != 0 || !strings.Contains(got.out, words) {
			t.Errorf("exit %d, no %q in\n%s%s", got.code, words, got.out, got.err)
		}
	}
	got := p.run("delete", "orphans", "-y")
	if got.code != 0 || got.out != "There are no orphans that are terminated without being named.\n" ||
		!strings.Contains(got.err, "copy, or was renamed.\n  To terminate it: skyctl delete orphans backup\nMachine") ||
		len(ended) != 0 {
		t.Errorf("exit %d, %q, %q, ended %v", got.code, got.out, got.err, ended)
	}
	if got := p.run("delete", "orphans", "sky-dev-1", "-y"); got.code != ExitNotFound || len(ended) != 0 {
		t.Errorf("a name of two machines: exit %d, %q, %q, terminated %v", got.code, got.out, got.err, ended)
	}
	if got := p.run("delete", "orphans", "backup", "i-2", "-y"); got.code != 0 ||
		!slices.Equal(ended, []string{"c0ffee", "i-2"}) {
		t.Errorf("exit %d, %q, %q, ended %v", got.code, got.out, got.err, ended)
	}
}

func TestTerminatingAnOrphanKeepsACopyOfItsName(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	var ended []string
	world.SetBehavior("", skydstub.Behavior{Orphans: func(_ context.Context, _ *skydstub.World,
		in operation.OrphansInput) (operation.OrphansResult, error) {
		ended = append(ended, in.Terminate...)
		return operation.OrphansResult{Orphans: []api.Orphan{
			{Cloud: "aws", Name: "sky-dev-1", ID: "i-1", Cluster: "dev"},
			{Cloud: "aws", Name: "sky-dev-1", ID: "i-2", Cluster: "dev", Conflict: "it was found to be a copy"},
		}}, nil
	}})
	if got := p.run("delete", "orphans", "-y"); got.code != 0 || !slices.Equal(ended, []string{"i-1"}) {
		t.Errorf("exit %d, %q, %q, ended %v", got.code, got.out, got.err, ended)
	}
}

func TestOrphansAreListedBeforeThePrompt(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	ended := setUpOrphans()
	for answer, n := range map[string]int{"n\n": 0, "y\n": 1} {
		term := pseudoterminal.Open(t, 200, 24)
		term.Near.WriteString(answer)
		Run(t.Context(), p.onTerminal(term), []string{"delete", "orphans", "sky-train-1"})
		eventually.Holds(t, "the answer was read", func() bool {
			text := term.Text()
			return strings.Contains(text, "TERMINATED-AT") && strings.Contains(text, "Terminate 1 machine? [y/N]") &&
				strings.Contains(text, map[int]string{0: "nothing was terminated",
					1: "Terminated machine sky-train-1"}[n])
		})
		if len(*ended) != n {
			t.Errorf("after the answer %q: terminated %v", answer, *ended)
		}
		*ended = nil
	}
}

func TestUnreachableCloudIsReportedWithTheOrphansOfOthers(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	world.SetBehavior("", skydstub.Behavior{Orphans: func(context.Context, *skydstub.World,
		operation.OrphansInput) (operation.OrphansResult, error) {
		return operation.OrphansResult{Orphans: fixture.NewOrphans()[:1], Unasked: []string{"gcp: no credentials"}}, nil
	}})
	got := p.run("get", "orphans")
	if got.code != ExitFailed || !strings.Contains(got.out, "sky-train-1") ||
		!strings.Contains(got.err, "a cloud did not answer: gcp: no credentials") {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
}

func TestNamesOfOrphansAreCompleted(t *testing.T) {
	world.StartWorker(t)
	if _, err := world.Store.ReplaceOrphans(t.Context(), "aws", fixture.NewOrphans()[:1], nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	defer world.Store.ReplaceOrphans(context.WithoutCancel(t.Context()), "aws", nil, nil, time.Now())
	p := newExternalUser(t)
	if got := p.run("__complete", "delete", "orphans", ""); !strings.Contains(got.out, "sky-train-1\taws") {
		t.Errorf("%s%s", got.out, got.err)
	}
	if got := p.run("__complete", "delete", "orphans", "sky-train-1", ""); strings.Contains(got.out, "sky-train-1") {
		t.Errorf("completed twice: %s%s", got.out, got.err)
	}
}
