package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
)

// parsePruneFlags returns the flags of a prune, as apply and diff read them.
func parsePruneFlags(t *testing.T, args ...string) (*pruneOptions, error) {
	t.Helper()
	o, cmd := &pruneOptions{}, &cobra.Command{}
	o.bindFlags(&app{}, cmd)
	o.bindCountFlag(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		return nil, err
	}
	return o, o.checkFlags()
}

// newApp returns a run of skyctl as this user.
func (p *testUser) newApp(out, errs *lockedbuffer.Buffer) *app {
	a := &app{env: p.environment(bytes.NewBufferString(p.in), out, errs)}
	a.newRootCommand()
	p.t.Cleanup(a.closeClient)
	return a
}

// storeApplied stores clusters of team vision; apply created those whose names end with -applied.
func storeApplied(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		c := storeLabeledCluster(t, name, map[string]string{"team": "vision"})
		if _, err := world.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
			c.Metadata.CreatedByApply = strings.HasSuffix(name, "-applied")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPruneNeedsASelectorAndFilesThatMatchIt(t *testing.T) {
	for args, says := range map[string]string{
		"--prune":                           "--prune needs --selector",
		"-l team=vision":                    "--selector needs --prune",
		"--prune-count 2":                   "--prune-count needs --prune",
		"--prune -l team=a --prune-count x": "prune-count",
		"--prune --selector=":               "a label selector",
	} {
		if _, err := parsePruneFlags(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
	}
	o, err := parsePruneFlags(t, "--prune", "-l", "team=vision")
	if err != nil {
		t.Fatal(err)
	}
	named := func(name, team string) *api.Cluster {
		return &api.Cluster{Metadata: api.Metadata{Name: name, Labels: map[string]string{"team": team}}}
	}
	if err := o.checkClusters(nil); err == nil || !strings.Contains(err.Error(), "the files have no cluster") ||
		exitCode(err) != ExitUsage {
		t.Errorf("no cluster: %v", err)
	}
	err = o.checkClusters([]*api.Cluster{named("a", "vision"), named("b", "web"), named("c", "")})
	if err == nil || strings.Contains(err.Error(), "cluster a ") || exitCode(err) != ExitUsage ||
		!strings.Contains(err.Error(), "cluster b does not match --selector team=vision") ||
		!strings.Contains(err.Error(), "cluster c ") {
		t.Errorf("others: %v", err)
	}
	if err := o.checkClusters([]*api.Cluster{named("a", "vision")}); err != nil {
		t.Error(err)
	}
	off := &pruneOptions{}
	if err := off.checkClusters(nil); err != nil {
		t.Errorf("without --prune: %v", err)
	}
}

func TestPruneOffATerminalNeedsTheNumber(t *testing.T) {
	p := newExternalUser(t)
	pruned := []api.Cluster{{Metadata: api.Metadata{Name: "a"}}, {Metadata: api.Metadata{Name: "b"}}}
	for _, tt := range []struct {
		count, says string
		yes         bool
	}{
		{"", "use --yes and --prune-count 2, if all of these clusters are to be deleted: a, b; nothing was changed",
			false},
		{"", "--prune-count 2", true},
		{"2", "--prune-count 2", false},
		{"1", "--prune-count is 1, but 2 clusters would be deleted (a, b); nothing was changed", true},
		{"2", "", true},
	} {
		var out, errs lockedbuffer.Buffer
		o, err := parsePruneFlags(t, "--prune", "-l", "team=vision", "--prune-count", tt.count)
		if err != nil {
			t.Fatal(err)
		}
		err = p.newApp(&out, &errs).confirmPrune(t.Context(), o, tt.yes, pruned)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || exitCode(err) != ExitUsage ||
			!strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%+v: %v", tt, err)
		}
		if err == nil && !strings.Contains(errs.String(), "To be deleted: 2 clusters") {
			t.Errorf("the list is not shown: %s", errs.String())
		}
	}
	var out, errs lockedbuffer.Buffer
	o, err := parsePruneFlags(t, "--prune", "-l", "team=vision", "--prune-count", "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.newApp(&out, &errs).confirmPrune(t.Context(), o, true, nil); err == nil {
		t.Error("one cluster was expected, and none is found")
	}
}

func TestPruneAsksForTheNumberOnATerminal(t *testing.T) {
	p := newExternalUser(t)
	pruned := []api.Cluster{{Metadata: api.Metadata{Name: "a"}}, {Metadata: api.Metadata{Name: "b"}}}
	o, err := parsePruneFlags(t, "--prune", "-l", "team=vision")
	if err != nil {
		t.Fatal(err)
	}
	for answer, ok := range map[string]bool{"y\n": false, "\n": false, "3\n": false, "2\n": true} {
		term := pseudoterminal.Open(t, 80, 24)
		if _, err := term.Near.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		a := &app{env: p.onTerminal(term)}
		err := a.confirmPrune(t.Context(), o, true, pruned) // --yes alone does not confirm it
		if ok != (err == nil) || !ok && err.Error() != "cancelled: nothing was changed" {
			t.Errorf("%q: %v", answer, err)
		}
		eventually.Holds(t, "the question", func() bool {
			return strings.Contains(term.Text(), "To delete 2 clusters, type their number:")
		})
	}
}

func TestPruneDeletesOnlyWhatApplyCreated(t *testing.T) {
	world.StartWorker(t)
	storeApplied(t, "old-applied", "kept-applied", "by-hand", "late-applied")
	p := newExternalUser(t)
	var out, errs lockedbuffer.Buffer
	a := p.newApp(&out, &errs)
	ops, err := a.connectClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := parsePruneFlags(t, "--prune", "-l", "team=vision")
	if err != nil {
		t.Fatal(err)
	}
	pruned, err := a.findPruned(t.Context(), ops, o, []client.ApplyPlan{{After: readCluster(t, "kept-applied")}})
	if err != nil || len(pruned) != 2 || pruned[0].Metadata.Name != "late-applied" ||
		pruned[1].Metadata.Name != "old-applied" {
		t.Fatalf("%v, %d", err, len(pruned))
	}
	p.run("label", "cluster", "late-applied", "owner=ann").checkOutput(t, 0, "Labeled", "")
	f := changeFlags{wait: true}
	err = a.carryOutPrune(t.Context(), ops, pruned, f)
	if err == nil || exitCode(err) != ExitConflict ||
		!strings.Contains(errs.String(), "cluster late-applied was changed meanwhile") {
		t.Errorf("%v: %s", err, errs.String())
	}
	eventually.Holds(t, "old-applied is gone", func() bool {
		_, err := world.Store.ReadCluster(t.Context(), "old-applied")
		return err != nil
	})
	for _, name := range []string{"kept-applied", "by-hand", "late-applied"} {
		if c := readCluster(t, name); c.Status.Phase != api.PhaseReady {
			t.Errorf("%s is %s", name, c.Status.Phase)
		}
	}
	if !strings.Contains(out.String(), "Cluster old-applied is being deleted.\n") {
		t.Errorf("%s%s", out.String(), errs.String())
	}
}

func TestApplyWithPruneDeletesWhatTheFilesNoLongerHave(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	kept, gone := newLabeledFile(t, "kept", "vision"), newLabeledFile(t, "gone", "vision")
	p.newApplied("kept", kept)
	p.newApplied("gone", gone)
	storeApplied(t, "by-hand")
	prune := []string{"-f", kept, "--prune", "--selector", "team=vision"}
	run := func(verb string, more ...string) runResult {
		return p.run(append(append([]string{verb}, prune...), more...)...)
	}
	run("diff").checkOutput(t, 1, "cluster/kept is as its file says.\n\nPRUNE ", "")
	got := run("diff", "-o", "json")
	var page render.ApplyPlan
	if err := json.Unmarshal([]byte(got.out), &page); err != nil || page.Pruned == nil || len(*page.Pruned) != 1 ||
		(*page.Pruned)[0].Name != "gone" || len((*page.Pruned)[0].Machines) != 2 {
		t.Errorf("%v: %s", err, got.out)
	}
	run("apply", "--dry-run").checkOutput(t, 0, "To be deleted: 1 cluster with 2 machines", "")
	run("apply", "--yes").checkOutput(t, ExitUsage, "", "use --yes and --prune-count 1")
	run("apply", "--yes", "--prune-count", "2").checkOutput(t, ExitUsage, "", "but 1 cluster would be deleted (gone)")
	p.run("apply", "-f", newLabeledFile(t, "other", "web"), "--prune", "--selector", "team=vision", "--yes",
		"--prune-count", "2").checkOutput(t, ExitUsage, "", "cluster other does not match --selector team=vision")
	p.run("get", "cluster", "other").checkOutput(t, ExitNotFound, "", "")
	if c := readCluster(t, "gone"); c.Status.Phase != api.PhaseReady {
		t.Fatalf("gone is %s", c.Status.Phase)
	}
	run("apply", "--yes", "--prune-count", "1", "--wait").checkOutput(t, 0,
		"cluster/kept unchanged\nCluster gone is being deleted.\nDeleted cluster gone.\n", "")
	readCluster(t, "kept")
	readCluster(t, "by-hand")
	run("diff").checkOutput(t, 0, "Nothing to prune.\n", "")
	run("apply").checkOutput(t, 0, "cluster/kept unchanged\n", "")
}

// newLabeledFile writes a file of a cluster of a team, and returns its path.
func newLabeledFile(t *testing.T, name, team string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".yaml")
	text := fmt.Sprintf("apiVersion: %s\nkind: Cluster\nmetadata: {name: %s, labels: {team: %s}}\nspec:\n"+
		"  cloud: docker\n  pools:\n  - name: default\n", api.APIVersion, name, team)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
