package cli

import (
	"maps"
	"strings"
	"testing"
)

func TestLabelsAreSetAndRemoved(t *testing.T) {
	world.StartWorker(t)
	c := storeLabeledCluster(t, "named", map[string]string{"team": "web", "owner": "ann"})
	p := newExternalUser(t)
	p.run("label", "cluster", "named", "tier=a", "owner-", "--wait").checkOutput(t, 0,
		"Labeled cluster named: tier=a, owner removed.\nThe nodes of cluster named have the labels after ", "")
	now := readCluster(t, "named")
	if !maps.Equal(now.Metadata.Labels, map[string]string{"team": "web", "tier": "a"}) ||
		now.Metadata.Generation != c.Metadata.Generation+1 || now.Status.ObservedGeneration != now.Metadata.Generation {
		t.Errorf("%+v", now.Metadata)
	}
	p.run("label", "clusters", "named", "tier=a", "absent-").check(t, 0,
		"Cluster named not labeled: there is nothing to change.\n",
		"Labeling cluster named\n✔ Labeling cluster named completed successfully.\n")
	if again := readCluster(t, "named"); again.Metadata.Generation != now.Metadata.Generation {
		t.Error("a label that is there already is a change")
	}
	p.run("label", "cluster", "named", "node-role.kubernetes.io/x=y").checkOutput(t, 0, "Labeled cluster named",
		"Note: the nodes do not get label node-role.kubernetes.io/x: keys of this domain belong to Kubernetes\n")
	p.run("label", "cluster", "named", "team=vision", "--overwrite").checkOutput(t, 0,
		`Labeled cluster named: team=vision (was "web").`, "")
}

func TestLabelRefusesBadInputAndWritesNothing(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	for _, tt := range []struct {
		args string
		says string
	}{
		{"vision-a team=web", `labels "team=web": the label has the value "vision"; use --overwrite`},
		{"vision-a", "missing the labels: skyctl label cluster (NAME..."},
		{"team=x", "missing the name of a cluster"},
		{"vision-a team=x web-a", `labels "web-a": KEY=VALUE`},
		{"vision-a te/a/m=x", "a key of at most 63"},
		{"vision-a tier=x tier-", "set or removed, not both"},
		{"vision-a --all tier=x", "use names, -l or --all, not two of them"},
		{"--all -l team=x tier=x", "use names, -l or --all, not two of them"},
		{"vision-a tier=x --timeout 5m", "--timeout needs --wait"},
		{"vision-a tier=x --dry-run --wait", "cannot be used with --dry-run"},
		{"vision-b web-a env=x team=vision", `labels "team=vision": the label has the value "web"`},
		{"UPPER tier=x", `name "UPPER"`},
	} {
		got := p.run(append([]string{"label", "cluster"}, strings.Fields(tt.args)...)...)
		if got.code != ExitUsage || got.out != "" || !strings.Contains(got.err, tt.says) {
			t.Errorf("%s: exit %d, %s%s", tt.args, got.code, got.out, got.err)
		}
	}
	p.run("label", "cluster", "absent", "a=b").checkOutput(t, ExitNotFound, "", `cluster "absent" does not exist`)
	for _, name := range []string{"vision-a", "vision-b", "web-a"} {
		if c := readCluster(t, name); c.Metadata.Generation != 1 {
			t.Errorf("%s was changed: %v", name, c.Metadata.Labels)
		}
	}
}

func TestLabelSelectedClustersAndAll(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	p.run("label", "clusters", "--all", "cost=42", "--dry-run").check(t, 0,
		"Labeled cluster vision-a: cost=42. (dry run)\nLabeled cluster vision-b: cost=42. (dry run)\n"+
			"Labeled cluster web-a: cost=42. (dry run)\n", "")
	if c := readCluster(t, "web-a"); c.Metadata.Generation != 1 {
		t.Error("a dry run writes")
	}
	p.run("label", "clusters", "-l", "team=vision", "cost=42", "env-", "--wait").checkOutput(t, 0,
		"Labeled cluster vision-a: cost=42, env removed.\nLabeled cluster vision-b: cost=42.\n", "")
	if readCluster(t, "vision-b").Metadata.Labels["cost"] != "42" || readCluster(t, "web-a").Metadata.Generation != 1 {
		t.Error("not exactly the selected clusters are labeled")
	}
	p.run("label", "clusters", "--all", "cost=42").checkOutput(t, 0, "Cluster vision-a not labeled: there is nothing "+
		"to change.\nCluster vision-b not labeled: there is nothing to change.\nLabeled cluster web-a: cost=42.\n", "")
	p.run("label", "clusters", "-l", "team=none", "a=b").check(t, 0, "", "No cluster matches team=none.\n")
}
