package cli

import "testing"

func TestObjectsAreNamedListedAndPrintedForScripts(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.newReadyCluster("script-a")
	p.newReadyCluster("script-b")
	for _, tt := range []struct {
		args []string
		out  string
	}{
		{[]string{"get", "clusters", "script-b", "script-a", "-o", "name"}, "cluster/script-b\ncluster/script-a\n"},
		{[]string{"get", "cluster/script-b", "cl/script-a", "-o", "name", "--sort-by", ".metadata.name"},
			"cluster/script-a\ncluster/script-b\n"},
		{[]string{"get", "-o", "jsonpath={.status.phase}", "cluster/script-a"}, "READY"},
		{[]string{"get", "mc", "script-a", "-o", "name"},
			"machine/sky-script-a-0\nmachine/sky-script-a-1\nmachine/sky-script-a-2\n"},
		{[]string{"get", "nodes", "sky-script-a-1", "-o", "jsonpath={.name} {.role}"}, "sky-script-a-1 worker"},
		{[]string{"get", "pool/default", "--cluster", "script-a", "-o", "name"}, "pool/default\n"},
		{[]string{"get", "ng", "script-a", "script-b", "-o", "custom-columns=NAME:.name,READY:.ready", "--no-headers"},
			"default   2\ndefault   2\n"},
		{[]string{"get", "cluster/script-a", "pool/default", "--cluster", "script-a", "-o", "name"}, ""},
	} {
		got := p.run(tt.args...)
		if tt.out == "" {
			if got.code != ExitUsage { // get cluster has no --cluster
				t.Errorf("%v: exit %d", tt.args, got.code)
			}
			continue
		}
		got.check(t, 0, tt.out, "")
	}
	p.run("get", "pools", "script-a", "script-b").checkOutput(t, 0, "NAME     CLUSTER    REPLICAS", "")
	p.run("get", "machines", "script-a", "--no-headers").checkOutput(t, 0, "sky-script-a-0  ", "")
	p.run("get", "clusters", "script-a", "absent", "-o", "name").checkOutput(t, ExitNotFound, "cluster/script-a\n",
		`cluster "absent" does not exist`)
	p.run("get", "machine", "sky-script-a-9").checkOutput(t, ExitNotFound, "",
		`cluster "script-a" has no machine sky-script-a-9`)
	p.run("get", "pool", "none", "--cluster", "script-a").checkOutput(t, ExitNotFound, "",
		`cluster "script-a" has no pool none`)
	p.run("get", "clusters", "script-a", "--sort-by", ".none").checkOutput(t, ExitUsage, "", `sort-by ".none": `)
}
