package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/printer"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/config"
)

func TestChangedPoolsAndMachinesAreWrittenForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("parts")
	create := []string{"create", "pool", "big", "--cluster", "parts", "--replicas", "2"}
	var pool render.PoolView
	p.run(append(create, "--wait", "-o", "json")...).checkObject(t, &pool)
	if pool.Name != "big" || pool.Ready != 2 || strings.Join(pool.Machines, " ") != "sky-parts-3 sky-parts-4" {
		t.Errorf("created: %+v", pool)
	}
	p.run(append(create, "-o", "name")...).check(t, 0, "pool/big\n", "")
	var m api.Machine
	before := readCluster(t, "parts").FindMachine("sky-parts-3").Incarnation
	p.run("replace", "machine", "sky-parts-3", "--wait", "-o", "json").checkObject(t, &m)
	if m.Name != "sky-parts-3" || m.State != api.MachineReady || m.Incarnation == before {
		t.Errorf("replaced: %+v", m)
	}
	p.run("replace", "machine", "sky-parts-3", "-o", "jsonpath={.replace_asked}").check(t, 0, "true", "")
	p.awaitRest("parts")
	for _, args := range [][]string{{"delete", "machine", "sky-parts-4"},
		{"delete", "pool", "big", "--cluster", "parts"}} {
		p.run(append(args, "-o", "yaml")...).checkOutput(t, ExitUsage, "", "-o name prints its name")
		p.run(append(args, "--dry-run", "-o", "jsonpath={.kind}")...).check(t, 0, "ChangePlan", "")
	}
	p.run("delete", "machine", "sky-parts-4", "--wait", "-o", "name").check(t, 0, "machine/sky-parts-4\n", "")
	p.run("delete", "pool", "big", "--cluster", "parts", "-o", "name").check(t, 0, "pool/big\n", "")
}

func TestStoppedAndStartedClustersAreWrittenForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("asleep")
	p.newReadyCluster("awake")
	var c api.Cluster
	p.run("stop", "cluster", "asleep", "--yes", "--wait", "-o", "json").checkObject(t, &c)
	if c.Metadata.Name != "asleep" || c.Status.Phase != api.PhaseStopped {
		t.Errorf("stopped: %+v", c.Status)
	}
	p.run("stop", "cluster", "asleep", "--yes", "-o", "name").check(t, 0, "cluster/asleep\n", "")
	var list render.ClusterList
	p.run("start", "clusters", "asleep", "awake", "--wait", "-o", "json").checkObject(t, &list)
	if len(list.Items) != 2 || list.Items[0].Status.Phase != api.PhaseReady {
		t.Errorf("started: %+v", list)
	}
	storeSnapshot(t, "awake", "one", api.SnapshotAsked, unchanged)
	c = api.Cluster{}
	p.run("restore", "cluster", "awake", "--snapshot", "one", "--yes", "--wait", "-o", "json").checkObject(t, &c)
	if c.Metadata.Name != "awake" || c.Status.Restored == nil {
		t.Errorf("restored: %+v", c.Status)
	}
	p.run("pause", "reconcile", "awake", "-o", "json").checkObject(t, &c)
	if c.Status.PausedAt.IsZero() {
		t.Error("the cluster is not shown as paused")
	}
	p.run("resume", "reconcile", "--all", "-o", "name").check(t, 0, "cluster/asleep\ncluster/awake\n", "")
	p.run("pause", "reconcile", "-o", "name").checkOutput(t, ExitUsage, "", "needs the name of one, -l or --all")
	p.env["KUBE_EDITOR"] = "true"
	p.run("edit", "cluster", "awake", "-o", "name").check(t, 0, "cluster/awake\n", "")
	p.env["KUBE_EDITOR"] = `sed -i "s/^spec:/  labels: {team: web}\nspec:/"`
	c = api.Cluster{}
	p.run("edit", "cluster", "awake", "--wait", "-o", "json").checkObject(t, &c)
	if c.Metadata.Labels["team"] != "web" {
		t.Errorf("edited: %+v", c.Metadata)
	}
}

func TestChangedSnapshotsAndSecretsAreWrittenForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t, "scripted")
	p.newReadyCluster("kept")
	var s api.Snapshot
	of := func(args ...string) []string { return append(args, "--cluster", "kept") }
	p.run(of("create", "snapshot", "--name", "one", "--wait", "-o", "json")...).checkObject(t, &s)
	if s.Name != "one" || s.State != api.SnapshotKept {
		t.Errorf("created: %+v", s)
	}
	p.run(of("create", "snapshot", "--name", "two", "-o", "name")...).check(t, 0, "snapshot/two\n", "")
	s = api.Snapshot{}
	p.run(of("verify", "snapshot", "one", "-o", "json")...).checkObject(t, &s)
	if s.Check == nil || s.Check.Result != api.SnapshotProven {
		t.Errorf("verified: %+v", s)
	}
	p.run(of("verify", "snapshot", "one", "--wait=false", "-o", "name")...).check(t, 0, "snapshot/one\n", "")
	p.run(of("wait", "snapshot", "two", "--for=condition=Kept")...).checkOutput(t, 0, "condition met", "")
	p.run(of("delete", "snapshot", "one", "two", "--yes", "-o", "json")...).checkOutput(t, ExitUsage, "",
		"delete has no -o json")
	p.run(of("delete", "snapshots", "one", "two", "--yes", "-o", "name")...).check(t, 0, "snapshot/one\nsnapshot/two\n",
		"")

	var secret render.SecretView
	p.run("create", "secret", "scripted", "--from-literal", "a=12345678", "-o", "json").checkObject(t, &secret)
	if secret.Name != "scripted" || secret.Size != 8 {
		t.Errorf("stored: %+v", secret)
	}
	p.run("create", "secret", "scripted", "--replace", "--from-literal", "a=b", "-o", "name").check(t, 0,
		"secret/scripted\n", "")
	p.run("delete", "secret", "scripted", "--yes", "-o", "name").check(t, 0, "secret/scripted\n", "")
}

func TestTerminatedOrphansAreNamedForPrograms(t *testing.T) {
	world.StartWorker(t)
	setUpOrphans()
	p := newExternalUser(t)
	p.run("delete", "orphans", "sky-train-1", "--yes", "-o", "name").check(t, 0, "orphan/sky-train-1\n", "")
	got := p.run("delete", "orphans", "--yes", "-o", "name")
	got.checkOutput(t, ExitFailed, "orphan/sky-train-1\n", "sky-dev-0 on docker could not be terminated")
	if strings.Contains(got.out, "sky-dev-0") || strings.Contains(got.out, "Terminated") {
		t.Errorf("stdout: %q", got.out)
	}
}

// useContext moves a user of external servers into a context, or into the default one if the name is empty.
func (p *testUser) useContext(name string) {
	p.t.Helper()
	delete(p.env, config.EnvDir)
	p.env["HOME"] = p.t.TempDir()
	team := p.makeDir("team", "")
	p.writeContexts("contexts:\n  team: " + team + "\ncurrent-context: " + name + "\n")
}

func TestAllNamesTheContext(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("one")
	p.newReadyCluster("two")
	p.useContext("team")
	p.run("delete", "clusters", "--all").checkOutput(t, ExitUsage, "",
		"deleting all clusters of context team needs confirmation")
	p.run("stop", "clusters", "--all").checkOutput(t, ExitUsage, "", `"Stop these 2 clusters of context team?"`)
	p.run("stop", "clusters", "--all", "--yes", "--wait").checkOutput(t, 0, "Cluster two of context team is STOPPED",
		"")
	p.run("stop", "cluster", "one", "--yes").checkOutput(t, 0, "Cluster one is already STOPPED.\n", "")
	started := p.run("--context", "default", "start", "clusters", "--all", "--wait")
	started.checkOutput(t, 0,
		"Cluster one of context default is being started.\nCluster two of context default is being started.\n", "")
	started.checkOutput(t, 0, "Cluster two of context default is READY after ", "")
	dir := filepath.Join(p.env["HOME"], "other")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.run("--config-dir", dir, "delete", "clusters", "--all").checkOutput(t, ExitUsage, "",
		"deleting all clusters of the installation in "+dir+" needs confirmation")
	p.run("delete", "clusters", "--all", "--yes").checkOutput(t, 0, "Cluster two of context team is being deleted.", "")
	var failed errorDocument
	got := p.run("delete", "clusters", "--all", "-o", "json")
	if err := json.Unmarshal([]byte(got.err), &failed); err != nil || failed.Error.Reason != "InvalidRequest" {
		t.Errorf("%v: %q", err, got.err)
	}
}

func TestPartThatIsGoneIsNotWrittenAsNothing(t *testing.T) {
	o := &outputFlags{request: printer.Request{Output: "json"}}
	c := &api.Cluster{Metadata: api.Metadata{Name: "dev"}}
	err := (&app{}).writeChanged(t.Context(), nil, o, changedClusters{clusters: []*api.Cluster{c},
		part: &changedPart{kind: "Pool", name: "big", find: func(*api.Cluster) any { return nil }}})
	if err == nil || err.Error() != `cluster "dev" has no pool big` || exitCode(err) != ExitNotFound {
		t.Errorf("%v", err)
	}
}
