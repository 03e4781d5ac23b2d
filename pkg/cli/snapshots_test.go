package cli

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/skydstub"
)

func readSnapshot(t *testing.T, cluster, name string) api.Snapshot {
	t.Helper()
	s, err := world.Store.ReadSnapshot(t.Context(), readCluster(t, cluster).Ref(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// storeSnapshot stores a kept snapshot of a cluster, and changes it.
func storeSnapshot(t *testing.T, cluster, name string, reason api.SnapshotReason, change func(*api.Snapshot)) {
	t.Helper()
	ref := readCluster(t, cluster).Ref()
	err := world.Store.CreateSnapshot(t.Context(), api.Snapshot{Name: name, Cluster: ref.Name, ClusterUID: ref.UID,
		Reason: reason, State: api.SnapshotWanted})
	if err == nil {
		err = world.KeepSnapshot(t.Context(), ref, name)
	}
	if err == nil {
		_, err = world.Store.UpdateSnapshot(t.Context(), ref, name, func(s *api.Snapshot) error {
			change(s)
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unchanged(*api.Snapshot) {}

func TestSnapshotIsCreatedListedVerifiedAndDeleted(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("saved")
	p.run("get", "snapshots", "--cluster", "saved").check(t, 0,
		"NAME    CLUSTER    TAKEN    SIZE    VERSION    WHERE    VERIFIED\n",
		"Fetching snapshots\nThere are no snapshots.\n✔ Fetching snapshots completed successfully.\n")
	p.run("create", "snapshot", "--cluster", "saved", "--name", "one", "--wait").checkOutput(t, 0,
		"Snapshot one of cluster saved is requested.\nSnapshot one is kept: 5.0 MiB in skyd's directory.\n",
		"✔ Taking snapshot one completed successfully.\n")
	if got := p.run("create", "snapshot", "--cluster", "saved", "--wait"); got.code != 0 ||
		!strings.HasPrefix(got.out, "Snapshot manual-") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	for _, word := range []string{"snapshots", "snapshot"} {
		p.run("get", word).checkOutput(t, 0, "ago)  5.0 MiB  v1.35.7+rke2r1  skyd     -\n", "")
	}
	p.run("get", "snapshots", "-o", "wide").checkOutput(t, 0,
		"Asked     Kept     5.0 MiB   -          1234        42\n",
		"")
	var list render.SnapshotList
	if err := json.Unmarshal([]byte(p.run("get", "snapshots", "--cluster", "saved", "-o", "json").out),
		&list); err != nil ||
		list.Kind != "SnapshotList" || len(list.Items) != 2 || list.Items[0].ClusterUID == "" {
		t.Errorf("%v, %+v", err, list)
	}
	p.run("verify", "snapshot", "one", "--cluster", "saved").checkOutput(t, 0,
		" in 42s: all 42 keys of 2 kinds are there.\n", "✔ Verifying snapshot one completed successfully.\n")
	p.run("get", "snapshots").checkOutput(t, 0, "proven (", "")
	p.run("describe", "snapshot", "one", "--cluster", "saved").checkOutput(t, 0,
		"Reason:      requested by a person; it stays until it is deleted by name\n", "")
	p.run("describe", "snapshot", "one", "--cluster", "saved", "-o", "yaml").checkOutput(t, 0,
		"sealed_bytes: 5243080\n", "")
	p.run("delete", "snapshot", "one", "--cluster", "saved").checkOutput(t, ExitUsage, "", "use --yes")
	p.run("delete", "snapshots", "one", "never", "--cluster", "saved", "--yes").checkOutput(t, ExitNotFound, "",
		`has no snapshot "never"`)
	if s := readSnapshot(t, "saved", "one"); s.State != api.SnapshotKept {
		t.Errorf("the others were deleted: %+v", s)
	}
	p.run("delete", "snapshot", "one", "--cluster", "saved", "--yes").checkOutput(t, 0,
		"Deleted snapshot one of cluster saved.\n", "")
	p.run("describe", "snapshot", "one", "--cluster", "saved").checkOutput(t, ExitNotFound, "", `has no snapshot "one"`)
}

func TestBadInputAboutSnapshots(t *testing.T) {
	p := newUserWithoutState(t)
	for line, want := range map[string]string{
		"create snapshot":                                             "missing --cluster",
		"create snapshot one --cluster dev":                           "takes no arguments",
		"create snapshot --cluster Dev":                               `cluster "Dev"`,
		"create snapshot --cluster dev --name auto-1":                 `name "auto-1"`,
		"create snapshot --cluster dev --name ":                       `name ""`,
		"create snapshot --cluster dev --timeout 1m":                  "--timeout needs --wait",
		"get snapshots one":                                           "takes no arguments",
		"get snapshots --cluster D":                                   `cluster "D"`,
		"verify snapshot one":                                         "missing --cluster",
		"verify snapshot":                                             "missing the name of a snapshot",
		"wait snapshot one --for=delete":                              "missing --cluster",
		"verify snapshot a/b --cluster dev":                           `snapshot "a/b"`,
		"verify snapshot one --cluster dev --wait=false --timeout 1m": "--timeout needs --wait",
		"describe snapshot one":                                       "missing --cluster",
		"delete snapshot --cluster dev":                               "missing the name",
		"delete snapshot one one --cluster dev --yes":                 "named twice",
		"delete snapshot one --cluster dev":                           "use --yes",
		"restore cluster dev":                                         "missing --snapshot",
		"restore cluster dev --snapshot Other/one":                    `snapshot "Other/one"`,
		"restore cluster dev --snapshot other/one --force":            "needs --new-machines",
		"restore cluster dev --snapshot one --timeout 1m":             "--timeout needs --wait",
		"restore cluster":                                             "missing the name of a cluster",
		"restore /mnt/usb/skyctl.backup":                              "skyctl server restore FILE",
		"stop":                                                        "needs a subcommand: cluster",
		"stop server":                                                 "skyctl server stop",
		"stop dev":                                                    "skyctl stop cluster NAME",
		"start dev":                                                   "skyctl server start",
		"stop cluster dev --timeout 1m":                               "--timeout needs --wait",
		"start cluster dev --timeout 1m":                              "--timeout needs --wait",
		"start cluster":                                               "missing the name of a cluster",
	} {
		got := p.run(strings.Split(line, " ")...)
		if got.code != ExitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%s: exit %d: %s", line, got.code, got.err)
		}
	}
	p.checkNothingWritten()
}

func TestUnprovenSnapshotIsAFailure(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("rotten")
	storeSnapshot(t, "rotten", "one", api.SnapshotScheduled, unchanged)
	storeSnapshot(t, "rotten", "two", api.SnapshotScheduled, func(s *api.Snapshot) { s.State = api.SnapshotTaken })
	world.SetBehavior("rotten", skydstub.Behavior{VerifySnapshot: func(ctx context.Context, w *skydstub.World,
		s api.Snapshot) error {
		return w.EndCheck(ctx, s, api.SnapshotDamaged, "12 of 30 configmaps are missing")
	}})
	got := p.run("verify", "snapshot", "one", "--cluster", "rotten")
	got.checkOutput(t, ExitFailed, "", "snapshot one is DAMAGED ")
	got.checkOutput(t, ExitFailed, "", "12 of 30 configmaps are missing")
	p.run("verify", "snapshot", "two", "--cluster", "rotten").checkOutput(t, ExitConflict, "", "only on machine")
	p.run("get", "snapshots").checkOutput(t, 0, "DAMAGED (", "")
	p.run("restore", "cluster", "rotten", "--snapshot", "one", "--yes").checkOutput(t, ExitConflict, "",
		"12 of 30 configmaps")
}

func TestRequestedVerificationIsNotWaitedFor(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("patient")
	storeSnapshot(t, "patient", "one", api.SnapshotAsked, unchanged)
	world.SetBehavior("patient", skydstub.Behavior{VerifySnapshot: func(ctx context.Context, _ *skydstub.World,
		_ api.Snapshot) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	t.Cleanup(func() {
		_ = world.Temporal.TerminateWorkflow(context.Background(), operation.VerifySnapshotsID, "", "")
	})
	args := []string{"verify", "snapshot", "one", "--cluster", "patient"}
	p.run(append(args, "--wait=false")...).checkOutput(t, 0, "The verification of snapshot one is requested.\n", "")
	p.run(append(args, "--wait=false")...).checkOutput(t, 0, "was already requested.\n", "")
	p.run(append(args, "--timeout", "1s")...).checkOutput(t, ExitTimeout, "", "is not verified after 1s; skyd goes on")
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() { done <- Run(ctx, p.environment(nil, &out, &errs), args) }()
	eventually.Holds(t, "it waits", func() bool { return strings.Contains(errs.String(), "Verifying snapshot one\n") })
	interrupt()
	runResult{code: <-done, out: out.String(), err: errs.String()}.checkOutput(t, ExitInterrupted, "",
		"skyd goes on. To see it: skyctl describe snapshot one --cluster patient\n")
}

func TestClusterIsRestoredWithItsQuestions(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("vital")
	storeSnapshot(t, "vital", "one", api.SnapshotAsked, func(s *api.Snapshot) { s.TakenAt = s.TakenAt.Add(-time.Hour) })
	args := []string{"restore", "cluster", "vital", "--snapshot", "one"}
	p.run(args...).checkOutput(t, ExitUsage, "", "use --yes")
	p.run("restore", "cluster", "vital", "--snapshot", "never", "--yes").checkOutput(t, ExitUsage, "",
		`snapshot "never": cluster vital has no snapshot of this name`)
	p.run("restore", "cluster", "nobody", "--snapshot", "one", "--yes").checkOutput(t, ExitNotFound, "", "nobody")
	world.SetBehavior("vital", skydstub.Behavior{SnapshotProblem: "its file is gone"})
	p.run(append(args, "--yes")...).checkOutput(t, ExitConflict, "", "its file is gone")
	world.SetBehavior("vital", skydstub.Behavior{})
	if c := readCluster(t, "vital"); c.Status.Restore != nil {
		t.Fatalf("a refused restore is recorded: %+v", c.Status.Restore)
	}

	term := pseudoterminal.Open(t, 200, 40)
	if _, err := term.Near.WriteString("no\n"); err != nil {
		t.Fatal(err)
	}
	code := Run(t.Context(), p.onTerminal(term), args)
	eventually.Holds(t, "the question is cancelled", func() bool {
		return strings.Contains(term.Text(), "cancelled: nothing was changed")
	})
	for _, want := range []string{"Snapshot one has the state of ", "Changes of the last 1h0", "It was never verified.",
		"The machines and their volumes stay.", "the present state is kept first as another snapshot",
		"Restore cluster vital (READY, 3 machines) from snapshot one? [y/N] "} {
		if code != ExitFailed || !strings.Contains(term.Text(), want) {
			t.Errorf("exit %d, without %q: %s", code, want, term.Text())
		}
	}
	p.run(append(args, "--yes", "--wait")...).checkOutput(t, 0, "Cluster vital is being restored from snapshot one.\n"+
		"Cluster vital is READY after ", "Use it with: export KUBECONFIG=")
	if c := readCluster(t, "vital"); c.Status.Restored == nil || c.Status.Restore != nil {
		t.Errorf("%+v", c.Status)
	}
	page := p.run("describe", "cluster", "vital")
	for _, want := range []string{"  Newest:        one, 1h0", "  Last restore:  ", " (10m00s of changes are lost)"} {
		page.checkOutput(t, 0, want, "")
	}
}

func TestSnapshotOfAnotherClusterNeedsForceAndNewMachines(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("heir")
	p.newReadyCluster("gone")
	storeSnapshot(t, "gone", "last", api.SnapshotAsked, unchanged)
	args := []string{"restore", "cluster", "heir", "--snapshot", "gone/last", "--yes"}
	p.run(append(args, "--new-machines", "--force")...).checkOutput(t, ExitConflict, "",
		"cluster gone still exists (READY), and both would have the same certificates and tokens")
	if c := readCluster(t, "heir"); c.Status.Restore != nil {
		t.Errorf("it is recorded: %+v", c.Status.Restore)
	}
	if err := world.Store.DeleteCluster(t.Context(), readCluster(t, "gone").Ref()); err != nil {
		t.Fatal(err)
	}
	p.run("get", "snapshots", "--cluster", "gone").checkOutput(t, 0, "gone (deleted)", "")
	p.run(args...).checkOutput(t, ExitUsage, "", "of cluster gone")
	p.run(append(args, "--new-machines")...).checkOutput(t, ExitUsage, "", "--force --new-machines")
	p.run(append(args, "--new-machines", "--force", "--wait")...).checkOutput(t, 0,
		"Cluster heir is being restored from snapshot gone/last.\n", "")
}

func TestFailedRestoreIsShown(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("unlucky")
	storeSnapshot(t, "unlucky", "one", api.SnapshotAsked, unchanged)
	world.SetBehavior("unlucky", skydstub.Behavior{Restore: func(ctx context.Context, w *skydstub.World,
		in operation.RestoreInput) error {
		_, err := w.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
			c.Status.SetPhase(api.PhaseError, "WrongToken", time.Now().UTC())
			c.Status.Failure = &api.Failure{Step: "restore the server", Reason: "WrongToken", Message: "bad token",
				Log: []string{"token CA hash does not match"}}
			return nil
		})
		return err
	}})
	got := p.run("restore", "cluster", "unlucky", "--snapshot", "one", "--yes", "--wait")
	got.checkOutput(t, ExitFailed, "is being restored", "restore the server: WrongToken: bad token")
	got.checkOutput(t, ExitFailed, "", "token CA hash does not match")
	p.run("describe", "cluster", "unlucky").checkOutput(t, 0, "  skyctl restore cluster unlucky --snapshot one\n", "")
	p.run("get", "clusters").checkOutput(t, 0, " ERROR ", "")
}

func TestClusterIsStoppedAndStarted(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("sleeps")
	p.run("stop", "cluster", "sleeps").checkOutput(t, ExitUsage, "", "use --yes")
	p.run("start", "cluster", "sleeps").checkOutput(t, 0, "Cluster sleeps is already READY.\n", "")
	world.SetBehavior("sleeps", skydstub.Behavior{ListLocalData: func() (operation.LocalDataResult, error) {
		return operation.LocalDataResult{Total: 3, Data: []api.LocalData{{Kind: api.LocalVolume, Volume: "pv-1",
			Namespace: "shop", Name: "data-db-0", Source: "local", Size: "10Gi", Node: "sky-sleeps-1"}}}, nil
	}})
	term := pseudoterminal.Open(t, 200, 40)
	if _, err := term.Near.WriteString("no\n"); err != nil {
		t.Fatal(err)
	}
	Run(t.Context(), p.onTerminal(term), []string{"stop", "cluster", "sleeps"})
	eventually.Holds(t, "what is lost is listed before the question", func() bool {
		return strings.Contains(term.Text(), "  This is only on the disks of its machines, and is lost:\n"+
			"    PersistentVolume pv-1 of claim shop/data-db-0 (local, 10Gi) on sky-sleeps-1\n    and 2 more\n"+
			"Stop cluster sleeps (READY, 3 machines)? [y/N] ")
	})
	p.run("stop", "cluster", "sleeps", "--yes", "--wait").checkOutput(t, 0, "Cluster sleeps is being stopped.\n"+
		"Cluster sleeps is STOPPED after ", "")
	p.run("stop", "cluster", "sleeps", "--yes").checkOutput(t, 0, "Cluster sleeps is already STOPPED.\n", "")
	p.run("get", "clusters", "-o", "wide").checkOutput(t, 0, "STOPPED", "")
	page := p.run("describe", "cluster", "sleeps")
	page.checkOutput(t, 0, "nothing is billed but the storage of its snapshots", "")
	page.checkOutput(t, 0, "  skyctl start cluster sleeps --wait\n", "")
	p.run(createArgs("sleeps")...).checkOutput(t, ExitConflict, "", "skyctl start cluster sleeps")
	p.run("create", "snapshot", "--cluster", "sleeps").checkOutput(t, ExitConflict, "", "skyctl start cluster sleeps")
	p.run("delete", "snapshot", "stop-20261129-003000", "--cluster", "sleeps", "--yes").checkOutput(t, ExitConflict, "",
		"it is stopped, and is started from it")
	const itsSnapshot = `stop-20261129-003000\tsleeps, taken [0-9ms]+ ago, 5\.0 MiB\n:4\n`
	for line, want := range map[string]string{
		"start cluster ": `sleeps\tSTOPPED\n:4\n`, "stop cluster ": `:4\n`,
		"restore cluster sleeps --snapshot ":  itsSnapshot,
		"verify snapshot --cluster sleeps ":   itsSnapshot,
		"verify snapshot --cluster another ":  `:4\n`,
		"describe snapshot --cluster sleeps ": itsSnapshot,
	} {
		got := p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...)
		if !regexp.MustCompile("^" + want + "$").MatchString(got.out) {
			t.Errorf("%q: %q, want %q", line, got.out, want)
		}
	}
	p.run("start", "cluster", "sleeps", "--wait").checkOutput(t, 0, "Cluster sleeps is being started.\n"+
		"Cluster sleeps is READY after ", "Use it with: export KUBECONFIG=")
}

func TestStopSaysThatVolumesCannotBeListed(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("silent")
	world.SetBehavior("silent", skydstub.Behavior{ListLocalData: func() (operation.LocalDataResult, error) {
		return operation.LocalDataResult{}, errors.New("the API server does not answer")
	}})
	term := pseudoterminal.Open(t, 200, 40)
	if _, err := term.Near.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	code := Run(t.Context(), p.onTerminal(term), []string{"stop", "cluster", "silent"})
	eventually.Holds(t, "it is stopped nevertheless", func() bool {
		return strings.Contains(term.Text(), "What there is cannot be listed: the API server does not answer") &&
			strings.Contains(term.Text(), "Cluster silent is being stopped.")
	})
	if code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestDeleteSaysWhatBecomesOfSnapshots(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("leaves")
	storeSnapshot(t, "leaves", "auto-1", api.SnapshotScheduled, unchanged)
	storeSnapshot(t, "leaves", "auto-2", api.SnapshotScheduled, unchanged)
	storeSnapshot(t, "leaves", "one", api.SnapshotAsked, unchanged)
	term := pseudoterminal.Open(t, 200, 24)
	if _, err := term.Near.WriteString("no\n"); err != nil {
		t.Fatal(err)
	}
	Run(t.Context(), p.onTerminal(term), []string{"delete", "cluster", "leaves"})
	eventually.Holds(t, "the question counts the snapshots", func() bool {
		return strings.Contains(term.Text(),
			"Delete cluster leaves (READY, 3 machines, 2 snapshots are deleted, 1 stays)? [y/N] ")
	})
	p.run("delete", "cluster", "leaves", "--yes").checkOutput(t, 0, "Cluster leaves is being deleted.",
		"Snapshots of cluster leaves that stay until they are deleted by name: 1. To list them: skyctl get snapshots "+
			"--cluster leaves")
}
