package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// freeFlags are the flags whose values nobody can list, and why.
var freeFlags = map[string]string{
	"accelerators": "the catalogs of the clouds, which completion does not ask",
	"zone":         "the catalogs of the clouds, which completion does not ask",
	"image_id":     "the catalogs of the clouds, which completion does not ask",

	"cpus": "a number", "memory": "a number", "disk_size": "a number", "num_nodes": "a number",
	"max_nodes": "a number", "replicas": "a number", "min_replicas": "a number", "max_replicas": "a number",
	"max_unavailable": "a number", "max_hourly_cost": "a number", "ports": "a number", "port": "a number",
	"snapshot_keep": "a number", "parallel": "a number", "tail": "a number", "prune-count": "a number",

	"timeout": "a duration", "since": "a duration", "drain_timeout": "a duration", "snapshot_every": "a duration",
	"snapshot_keep_for": "a duration", "snapshot_verify_every": "a duration", "max_snapshot_age": "a duration",

	"api_cidr": "an address", "snapshot_s3_endpoint": "an address", "snapshot_s3_url": "an address",
	"snapshot_s3_region": "the region of a bucket, on any storage", "etcd-endpoints": "an address",
	"temporal-address": "an address", "etcd-tls-server-name": "a name on a certificate",
	"temporal-tls-server-name": "a name on a certificate", "temporal-namespace": "a name in Temporal",

	"labels": "a new label", "taints": "a new taint", "name": "a new name", "ssh_user": "a user of an image",
	"from-literal": "a new value", "from-stdin": "a new key", "recipient": "a key of a person",
	"ssh_proxy_jump_host_key": "a key of a machine",
	"template":                "a template", "sort-by": "a path into objects",
}

// freeArguments are the commands whose arguments nobody can list, and why.
var freeArguments = map[string]string{
	"skyctl create cluster": "a new name", "skyctl create pool": "a new name", "skyctl create secret": "a new name",
}

// walkCommands calls visit for each command that runs something. The commands of the shells are cobra's.
func walkCommands(cmd *cobra.Command, visit func(*cobra.Command)) {
	for _, c := range cmd.Commands() {
		switch {
		case c.Name() == "help" || c.Name() == "completion" || c.IsAdditionalHelpTopicCommand():
		case c.HasSubCommands():
			walkCommands(c, visit)
		default:
			visit(c)
		}
	}
}

// takesValue reports whether a flag takes a value that a shell can complete.
func takesValue(f *pflag.Flag) bool { return f.Value.Type() != "bool" && f.Value.Type() != "count" }

func TestEveryArgumentAndFlagIsCompleted(t *testing.T) {
	used, commands, flags := map[string]bool{}, 0, 0
	check := func(of string, cmd *cobra.Command, f *pflag.Flag) {
		if !takesValue(f) {
			return
		}
		flags++
		_, completed := cmd.GetFlagCompletionFunc(f.Name)
		_, files := f.Annotations[cobra.BashCompFilenameExt]
		_, directories := f.Annotations[cobra.BashCompSubdirsInDir]
		switch why, free := freeFlags[f.Name]; {
		case completed || files || directories:
		case free && why != "":
			used[f.Name] = true
		default:
			t.Errorf("%s --%s completes nothing: register a function, or say in freeFlags why not", of, f.Name)
		}
	}
	root := (&app{}).newRootCommand()
	walkCommands(root, func(cmd *cobra.Command) {
		commands++
		path := cmd.CommandPath()
		takesArgument := true
		if err := cmd.ValidateArgs([]string{"x"}); err != nil {
			takesArgument = !strings.Contains(err.Error(), "takes no arguments")
		}
		if takesArgument && cmd.ValidArgsFunction == nil && freeArguments[path] == "" {
			t.Errorf("%s completes no argument: set ValidArgsFunction, or say in freeArguments why not", path)
		}
		if cmd.ValidArgsFunction != nil && (!takesArgument || freeArguments[path] != "") {
			t.Errorf("%s completes arguments that it does not take, or that freeArguments excuses", path)
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { check(path, cmd, f) })
	})
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { check("skyctl", root, f) })
	for name := range freeFlags {
		if !used[name] {
			t.Errorf("freeFlags excuses --%s, which needs no excuse", name)
		}
	}
	if commands < 50 || flags < 150 {
		t.Errorf("only %d commands and %d flags were found", commands, flags)
	}
}

// completions returns what a shell is offered behind some words.
func (p *testUser) completions(words ...string) []string {
	p.t.Helper()
	got := p.run(append([]string{"__complete"}, words...)...)
	lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	if got.code != 0 || len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], ":") {
		p.t.Errorf("%q: exit %d: %s%s", words, got.code, got.out, got.err)
	}
	return lines[:len(lines)-1]
}

func TestEveryCompletionIsDescribed(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.env["HOME"] = t.TempDir()
	p.createReady("told")
	p.run("create", "snapshot", "--cluster", "told", "--name", "first", "--wait")
	offered := 0
	check := func(words ...string) {
		for _, line := range p.completions(words...) {
			value, about, _ := strings.Cut(line, "\t")
			if offered++; about == "" {
				t.Errorf("%q: %s is not described", words, value)
			}
		}
	}
	walkCommands((&app{}).newRootCommand(), func(cmd *cobra.Command) {
		words := strings.Fields(cmd.CommandPath())[1:]
		if cmd.ValidArgsFunction != nil {
			check(append(words, "")...)
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			_, files := f.Annotations[cobra.BashCompFilenameExt]
			if _, completed := cmd.GetFlagCompletionFunc(f.Name); completed && !files {
				check(append(words, "--"+f.Name+"=")...)
			}
		})
	})
	if offered < 300 {
		t.Errorf("only %d completions were offered", offered)
	}
}

func TestNamesAreCompletedWithWhatTheyAre(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.run(createArgs("offered", "--labels", "team=vision")...)
	p.createReady("offered")
	p.run("create", "snapshot", "--cluster", "offered", "--name", "saved-once", "--wait")
	for line, want := range map[string]string{
		"get clusters ":                                "offered\tREADY",
		"get clusters other ":                          "offered\tREADY",
		"label cluster other ":                         "offered\tREADY",
		"get pools ":                                   "offered\tREADY",
		"get pools --cluster offered ":                 "default\t2 machines of offered",
		"scale cluster offered --pool ":                "default\t2 machines of offered",
		"exec offered --pool ":                         "default\t2 machines of offered",
		"get machines ":                                "sky-offered-1\tworker of pool default, Ready",
		"ssh ":                                         "sky-offered-0\thead, Ready",
		"exec ":                                        "offered\tREADY",
		"logs ":                                        "server\tskyd on this computer",
		"cp ":                                          "sky-offered-0:\thead, Ready",
		"wait machine sky-offered-1 ":                  "sky-offered-0\thead, Ready",
		"replace machine ":                             "sky-offered-1\tworker of pool default, Ready",
		"get clusters -l ":                             "team=vision\t1 cluster",
		"check --cloud ":                               "docker\tthis computer",
		"create cluster x --kubernetes_version ":       "v1.35.7+rke2r1\tthe setting rke2.version",
		"create cluster x --cni ":                      "canal\tthe default of RKE2",
		"create cluster x -o ":                         "wide\tmore columns, one line for each object",
		"create cluster x --dry-run=":                  "client\tonly show what would happen",
		"wait cluster offered --for ":                  "condition=InSync\tmachines and nodes are as recorded",
		"wait snapshot x --for ":                       "phase=Lost\tnowhere any more",
		"wait cluster offered --for json":              "jsonpath=\ta field has a value: '{.PATH}'=VALUE",
		"config get rke2.v":                            "rke2.version\trelease of RKE2 of new clusters",
		"config set rke2.cni ":                         "cilium\teBPF",
		"config unset rke2.cni rke2.v":                 "rke2.version\trelease of RKE2 of new clusters",
		"explain cluster.spec.po":                      "cluster.spec.pools\tgroups of workers that are alike",
		"delete snapshot --cluster offered ":           "saved-once\toffered, taken ",
		"restore cluster offered --snapshot ":          "saved-once\toffered, taken ",
		"describe snapshot --cluster offered ":         "saved-once\toffered, taken ",
		"create pool big --cluster ":                   "offered\tREADY",
		"create pool big --cluster x --spot_fallback ": "on_demand\tmachines at the full price",
		"logs offered --unit ":                         "kubelet\tthe kubelet's log",
		"create cluster x --cloud docker --region ":    "local\tthis computer",
		"create cluster x --gpu_stack ":                "none\tyou install it",
	} {
		got := p.completions(strings.Split(line, " ")...)
		if !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("%q: %q lacks %q", line, got, want)
		}
	}
	for _, line := range []string{"create cluster ", "server status ", "create cluster x --cpus ",
		"get clusters offered ", "use offered ", "label cluster offered a=b ", "version "} {
		if got := p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...); got.out != ":4\n" {
			t.Errorf("%q: %q, want nothing, and no files", line, got.out)
		}
	}
	for _, line := range []string{"server backup ", "create secret x --from-file ", "debug bundle offered -f "} {
		if got := p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...); got.out != ":0\n" {
			t.Errorf("%q: %q, want files", line, got.out)
		}
	}
}
