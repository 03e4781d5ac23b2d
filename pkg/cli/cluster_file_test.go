package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

func TestExplainNeedsNoServer(t *testing.T) {
	p := newUserWithoutState(t)
	p.run("explain", "cluster.spec.pools.machine.cpus").checkOutput(t, 0,
		"FIELD: cluster.spec.pools.machine.cpus <string>",
		"")
	p.run("explain", "cluster", "--recursive").checkOutput(t, 0, "        cpus <string>\n", "")
	p.run("explain", "cluster.spec.pool").checkOutput(t, ExitUsage, "", "did you mean cluster.spec.pools?")
	p.run("explain").checkOutput(t, ExitUsage, "", "missing the field")
	p.run("explain", "cluster", "spec").checkOutput(t, ExitUsage, "", "takes one field, not 2")
	for typed, want := range map[string]string{"": "cluster\t", "cluster.": "cluster.metadata\t",
		"cluster.spec.pools.rep": "cluster.spec.pools.replicas\t"} {
		if got := p.run("__complete", "explain", typed); !strings.Contains(got.out, want) {
			t.Errorf("%q: %s", typed, got.out)
		}
	}
	if got := p.run("__complete", "explain", "cluster.spec.po"); !strings.HasSuffix(got.out, ":6\n") {
		t.Errorf("a space follows an object: %s", got.out)
	}
	p.checkNothingWritten()
}

func TestSchemaIsPrintedWithoutAServer(t *testing.T) {
	p := newUserWithoutState(t)
	got := p.run("schema")
	var schema map[string]any
	if err := json.Unmarshal([]byte(got.out), &schema); err != nil || got.code != 0 || got.err != "" ||
		schema["$schema"] == nil || schema["properties"].(map[string]any)["spec"] == nil {
		t.Errorf("exit %d, %v: %s%s", got.code, err, got.out, got.err)
	}
	p.checkNothingWritten()
}

func TestSettingsOfRKE2BecomeAPartOfTheFile(t *testing.T) {
	p := newUserWithoutState(t)
	if err := os.MkdirAll(p.env[config.EnvDir], 0o700); err != nil {
		t.Fatal(err)
	}
	p.writeConfig("rke2: {config: {selinux: true}, images: [{path: /srv/a.tar}], enableServicelb: true, cni: calico}\n")
	got := p.run(createArgs("filed", "--dry-run", "-o", "yaml", "--cni", "cilium", "--ingress", "none",
		"--enable_servicelb=false")...)
	for _, want := range []string{"    cni: cilium\n", "  ingress: none\n", "  enable_servicelb: false\n",
		"    config:\n      selinux: \"true\"\n", "    images:\n", "path: /srv/a.tar\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in\n%s%s", want, got.out, got.err)
		}
	}
	p.writeConfig("rke2: {config: {token: hunter2}}\n")
	got = p.run(createArgs("filed", "--dry-run", "-o", "yaml")...)
	if got.code != ExitUsage || !strings.Contains(got.err, "rke2.config[token]") ||
		strings.Contains(got.err, "hunter") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
}

func TestCreateFlagsBecomeAFileWithoutAServer(t *testing.T) {
	p := newUserWithoutState(t)
	for _, form := range []string{"yaml", "json"} {
		got := p.run(createArgs("filed", "--labels", "team=vision", "--dry-run", "-o", form)...)
		if got.code != 0 || got.err != "" {
			t.Errorf("exit %d: %s", got.code, got.err)
		}
		documents, err := manifest.Parse("filed", []byte(got.out))
		if err != nil || len(documents) != 1 || documents[0].Name != "filed" || strings.Contains(got.out, "status") {
			t.Fatalf("%s: %v\n%s", form, err, got.out)
		}
		c, err := documents[0].NewCluster(p.environment(nil, nil, nil).Now())
		if err != nil || c.Spec.MachineCount() != 3 || c.Spec.Cloud != "docker" ||
			c.Metadata.Labels["team"] != "vision" {
			t.Errorf("%s: %v, %+v", form, err, c)
		}
	}
	p.run(createArgs("Bad", "--dry-run", "-o", "yaml")...).checkOutput(t, ExitUsage, "", `name "Bad"`)
	p.checkNothingWritten()
}

func TestExportedClustersAreFiles(t *testing.T) {
	world.StartWorker(t)
	storeTeams(t)
	p := newExternalUser(t)
	one := p.run("get", "cluster", "vision-a", "--export")
	if one.code != 0 || one.err != "" || strings.Contains(one.out, "status") || strings.Contains(one.out, "uid") {
		t.Errorf("exit %d: %s%s", one.code, one.out, one.err)
	}
	for args, want := range map[string]string{
		"cluster vision-a --export": "vision-a", "cluster vision-a --export -o json": "vision-a",
		"clusters --export -o yaml": "vision-a vision-b web-a", "clusters --export -o json": "vision-a vision-b web-a",
		"clusters --export -l team=web": "web-a", "clusters --export -l team=web -o json": "web-a",
	} {
		got := p.run(append([]string{"get"}, strings.Fields(args)...)...)
		documents, err := manifest.Parse("export", []byte(got.out))
		if err != nil || got.code != 0 || got.err != "" {
			t.Errorf("%s: exit %d, %v\n%s%s", args, got.code, err, got.out, got.err)
		}
		var names []string
		for _, d := range documents {
			names = append(names, d.Name)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s: %v, want %s\n%s", args, names, want, got.out)
		}
	}
	if whole := p.run("get", "cluster", "vision-a", "-o", "yaml"); !strings.Contains(whole.out, "status:") {
		t.Errorf("-o yaml lacks the status:\n%s", whole.out)
	}
	p.run("get", "clusters", "--export", "-w").checkOutput(t, ExitUsage, "", "--export cannot be used with --watch")
	p.run("get", "clusters", "--export", "-o", "wide").checkOutput(t, ExitUsage, "",
		"--export needs -o yaml or -o json")
	storeDamagedCluster(t, "broken", func(n int) int { return n / 2 })
	if got := p.run("get", "clusters", "--export"); got.code == 0 || strings.Contains(got.out, "broken") ||
		!strings.Contains(got.out, "web-a") || !strings.Contains(got.err, "broken") {
		t.Errorf("a damaged cluster: exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := p.run("get", "cluster", "broken", "--export"); got.code == 0 || got.out != "" {
		t.Errorf("a damaged cluster: exit %d\n%s%s", got.code, got.out, got.err)
	}
}
