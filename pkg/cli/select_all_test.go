package cli

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// commandsWithAll are the commands that take names of clusters, -l or --all.
var commandsWithAll = [][]string{{"delete", "clusters", "--yes"}, {"stop", "clusters", "--yes"}, {"start", "clusters"},
	{"reconcile"}, {"pause", "reconcile"}, {"resume", "reconcile"}, {"label", "clusters"},
	{"wait", "clusters", "--for=delete"}}

func TestAllBesideNamesOrASelectorIsRefused(t *testing.T) {
	p := newExternalUser(t)
	for _, command := range commandsWithAll {
		for _, more := range [][]string{{"dev", "--all"}, {"--all", "-l", "team=vision"}} {
			args := slices.Concat(command, more)
			if command[0] == "label" {
				args = append(args, "a=b")
			}
			got := p.run(args...)
			if got.code != ExitUsage || got.out != "" || !strings.Contains(got.err, "use names, -l or --all") {
				t.Errorf("%v: exit %d, %s%s", args, got.code, got.out, got.err)
			}
		}
	}
}

func TestAllOfNoClustersIsNoError(t *testing.T) {
	p := newExternalUser(t)
	for _, command := range commandsWithAll {
		args := append(slices.Clone(command), "--all")
		if command[0] == "label" {
			args = append(args, "a=b")
		}
		p.run(args...).check(t, 0, "", "There are no clusters.\n")
	}
	p.run("delete", "clusters", "--all").check(t, 0, "", "There are no clusters.\n") // nothing to ask for
}

func TestDeleteAllListsMachinesAndPricesAndAsksOnce(t *testing.T) {
	world.StartWorker(t)
	storeLabeledCluster(t, "free", nil)
	storeBilledCluster(t, "dear")
	p := newExternalUser(t)
	p.run("delete", "clusters", "--all").checkOutput(t, ExitUsage, "",
		"deleting all clusters needs confirmation, and there is no terminal: use --yes")
	term := pseudoterminal.Open(t, 100, 24)
	if _, err := term.Near.WriteString("n\n"); err != nil {
		t.Fatal(err)
	}
	if code := Run(t.Context(), p.onTerminal(term), []string{"delete", "clusters", "--all"}); code != ExitFailed {
		t.Errorf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "the clusters are listed, and asked for once", func() bool {
		return strings.Contains(term.Text(), "  dear (READY, 2 machines, $0.20/h, ~$0.41 so far)\n"+
			"  free (READY, 1 machine)\n") && strings.Count(term.Text(), "Delete these 2 clusters? [y/N]") == 1
	})
	readCluster(t, "free")
	readCluster(t, "dear")
}

func TestDeleteAllGoesOnAfterAClusterThatCannotBeDeleted(t *testing.T) {
	world.StartWorker(t)
	storeLabeledCluster(t, "first", nil)
	storeDamagedCluster(t, "hopeless", func(int) int { return 1 })
	storeLabeledCluster(t, "last", nil)
	deleteEtcdPrefix(t, "/machines/uid-of-hopeless/")
	p := newExternalUser(t)
	got := p.run("delete", "clusters", "--all", "--yes", "--wait")
	got.checkOutput(t, ExitConflict, "Cluster first is being deleted.\nCluster last is being deleted.\n"+
		"Deleted cluster first.\nDeleted cluster last.\n", "use --purge to remove the record")
	p.run("delete", "clusters", "--all", "--yes", "--purge").checkOutput(t, 0, "Removed the record of cluster hopeless",
		"")
}

func TestStopAndStartAllGoOnAfterAClusterThatCannot(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("awake-a")
	p.newReadyCluster("awake-c")
	release := holdCreates(t, "begun-b", func(ctx context.Context, w *skydstub.World, ref api.Ref) error {
		return w.SucceedCreate(ctx, ref)
	})
	defer release()
	p.run(createArgs("begun-b")...)
	eventually.Holds(t, "PROVISIONING", func() bool {
		return readCluster(t, "begun-b").Status.Phase == api.PhaseProvisioning
	})
	p.run("stop", "clusters", "awake-a", "absent", "--yes").checkOutput(t, ExitNotFound, "",
		`cluster "absent" does not exist`)
	p.run("stop", "clusters", "--all").checkOutput(t, ExitUsage, "", `"Stop these 2 clusters?", so use --yes`)
	term := pseudoterminal.Open(t, 100, 24)
	if _, err := term.Near.WriteString("n\n"); err != nil {
		t.Fatal(err)
	}
	if code := Run(t.Context(), p.onTerminal(term), []string{"stop", "clusters", "--all"}); code != ExitFailed {
		t.Errorf("exit %d: %s", code, term.Text())
	}
	eventually.Holds(t, "what each loses is listed", func() bool {
		return strings.Count(term.Text(), "  Kubernetes knows no data that is only on the disks") == 2 &&
			strings.Contains(term.Text(), "awake-a (READY, 3 machines)\n") &&
			strings.Contains(term.Text(), "Stop these 2 clusters? [y/N]")
	})
	for _, name := range []string{"awake-a", "awake-c"} {
		if c := readCluster(t, name); c.Status.Phase != api.PhaseReady || c.Status.Stop != nil {
			t.Errorf("%s is %s", name, c.Status.Phase)
		}
	}
	got := p.run("stop", "clusters", "--all", "--yes", "--wait")
	got.checkOutput(t, ExitConflict, "Cluster awake-a is being stopped.\nCluster awake-c is being stopped.\n"+
		"Cluster awake-a is STOPPED after ", "it is being created")
	got.checkOutput(t, ExitConflict, "Cluster awake-c is STOPPED after ", "")
	if got := p.run("__complete", "start", "cluster", "awake-a", ""); got.out != "awake-c\tSTOPPED\n:4\n" {
		t.Errorf("completed: %q", got.out)
	}
	got = p.run("start", "clusters", "--all", "--wait")
	got.checkOutput(t, ExitConflict, "Cluster awake-a is being started.\nCluster awake-c is being started.\n"+
		"Cluster awake-a is READY after ", "it is being created")
	got.checkOutput(t, ExitConflict, "Cluster awake-c is READY after ", "")
}

func TestStopOfSeveralLeavesAClusterThatItDidNotList(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("listed-a")
	p.newReadyCluster("listed-b")
	release := holdCreates(t, "unlisted", func(ctx context.Context, w *skydstub.World, ref api.Ref) error {
		return w.SucceedCreate(ctx, ref)
	})
	p.run(createArgs("unlisted")...)
	term := pseudoterminal.Open(t, 100, 24)
	done := make(chan int, 1)
	go func() {
		done <- Run(t.Context(), p.onTerminal(term), []string{"stop", "clusters", "listed-a", "listed-b", "unlisted"})
	}()
	eventually.Holds(t, "the question", func() bool {
		return strings.Contains(term.Text(), "Stop these 2 clusters? [y/N]")
	})
	release()
	eventually.Holds(t, "READY", func() bool { return readCluster(t, "unlisted").Status.Phase == api.PhaseReady })
	if _, err := term.Near.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != ExitConflict {
		t.Errorf("exit %d: %s", code, term.Text())
	}
	if c := readCluster(t, "unlisted"); c.Status.Stop != nil {
		t.Errorf("a cluster that was not listed is stopped: %s", term.Text())
	}
	eventually.Holds(t, "the listed clusters are STOPPED", func() bool {
		return readCluster(t, "listed-a").Status.Phase == api.PhaseStopped &&
			readCluster(t, "listed-b").Status.Phase == api.PhaseStopped
	})
}
