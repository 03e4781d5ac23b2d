package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/skydstub"
)

// checkObject decodes the output of a command that succeeds and prints one object only.
func (o runResult) checkObject(t *testing.T, object any) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.out), object); err != nil || o.code != 0 {
		t.Fatalf("exit %d, %v\n%s%s", o.code, err, o.out, o.err)
	}
	if strings.Contains(o.err, "✔") || strings.Contains(o.err, "Accepted") {
		t.Errorf("progress for a program: %q", o.err)
	}
}

func TestChangedClustersAreWrittenForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	var c api.Cluster
	p.run(createArgs("made", "--wait", "-o", "json")...).checkObject(t, &c)
	if c.Metadata.Name != "made" || c.Status.Phase != api.PhaseReady || len(c.Status.Machines) != 3 {
		t.Errorf("created: %+v", c)
	}
	p.run(createArgs("begun", "-o", "name")...).check(t, 0, "cluster/begun\n", "")
	p.run("label", "cluster", "made", "team=vision", "-o", "jsonpath={.metadata.labels.team}").check(t, 0, "vision", "")
	p.run("label", "cluster", "made", "team=web", "--overwrite", "--dry-run", "-o",
		"jsonpath={.metadata.labels.team}").check(t, 0, "web", "")
	if got := readCluster(t, "made").Metadata.Labels["team"]; got != "vision" {
		t.Errorf("a dry run has changed the label to %s", got)
	}
	p.run("label", "clusters", "begun", "made", "tier=1", "-o", "name").check(t, 0, "cluster/begun\ncluster/made\n", "")
	var list render.ClusterList
	p.run("label", "clusters", "-l", "team", "tier=2", "--overwrite", "-o", "json", "--wait").checkObject(t, &list)
	if len(list.Items) != 1 || list.Items[0].Metadata.Labels["tier"] != "2" {
		t.Errorf("labeled: %+v", list)
	}
	c = api.Cluster{}
	p.run("scale", "cluster", "made", "--num_nodes", "4", "--wait", "-o", "json").checkObject(t, &c)
	if c.Spec.MachineCount() != 4 || len(c.Status.Machines) != 4 {
		t.Errorf("scaled: %d machines: %+v", len(c.Status.Machines), c.Spec)
	}
	p.run("scale", "cluster", "made", "--num_nodes", "3", "-o", "custom-columns=N:.metadata.name").check(t, 0,
		"N\nmade\n", "")
}

func TestFailedChangesLeaveStdoutEmptyForPrograms(t *testing.T) {
	world.StartWorker(t)
	world.SetBehavior("fails", skydstub.Behavior{Provision: func(ctx context.Context, w *skydstub.World,
		in operation.ProvisionInput) error {
		return w.FailCreate(ctx, in.Cluster, api.Failure{Step: "launch", Reason: "Timeout", Message: "no machine"})
	}})
	p := newExternalUser(t)
	for _, tt := range []struct {
		args   []string
		code   int
		reason string
	}{
		{createArgs("fails", "--wait", "-o", "json"), ExitFailed, "Timeout"},
		{[]string{"label", "cluster", "absent", "a=b", "-o", "json"}, ExitNotFound, "NotFound"},
		{[]string{"scale", "cluster", "absent", "--num_nodes", "2", "-o", "json"}, ExitNotFound, "NotFound"},
		{[]string{"delete", "cluster", "fails", "--yes", "-o", "json"}, ExitUsage, "InvalidRequest"},
	} {
		got := p.run(tt.args...)
		var document errorDocument
		if err := json.Unmarshal([]byte(got.err), &document); err != nil || got.code != tt.code || got.out != "" ||
			document.Error.Reason != tt.reason || document.Error.ExitCode != tt.code {
			t.Errorf("%v: exit %d, %v, %q, %q", tt.args, got.code, err, got.out, got.err)
		}
	}
}

func TestAppliedClustersAreWrittenForPrograms(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Rename(newFile(t, name, 1), filepath.Join(dir, name+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	var c api.Cluster
	p.run("apply", "-f", filepath.Join(dir, "one.yaml"), "--wait", "-o", "json").checkObject(t, &c)
	if c.Metadata.Name != "one" || c.Status.Phase != api.PhaseReady {
		t.Errorf("applied: %+v", c)
	}
	p.awaitRest("one")
	if got := p.run("apply", "-f", dir, "-o", "name"); got.code != 0 || got.out != "cluster/one\ncluster/two\n" {
		t.Errorf("exit %d: %q %q", got.code, got.out, got.err)
	}
	p.awaitRest("two")
	var list render.ClusterList
	p.run("apply", "-f", dir, "--wait", "-o", "json").checkObject(t, &list)
	if len(list.Items) != 2 || list.Items[1].Status.Phase != api.PhaseReady {
		t.Errorf("unchanged: %+v", list)
	}
}

func TestDeletedClustersAreNamedForPrograms(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	p.run("delete", "cluster", "vision-a", "--yes", "-o", "yaml").checkOutput(t, ExitUsage, "", "-o name")
	p.run("delete", "cluster", "vision-a", "--yes", "-o", "name").check(t, 0, "cluster/vision-a\n", "")
	p.run("delete", "clusters", "vision-b", "web-a", "--yes", "--wait", "-o", "name").check(t, 0,
		"cluster/vision-b\ncluster/web-a\n", "")
}
