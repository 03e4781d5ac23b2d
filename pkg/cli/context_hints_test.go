package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestCommandsInTextGetTheContext(t *testing.T) {
	root := NewCommandTree()
	for text, want := range map[string]string{
		"To watch it: skyctl get cluster dev -w\n":     "To watch it: skyctl --context team get cluster dev -w\n",
		"skyctl use a && skyctl get pl":                "skyctl --context team use a && skyctl --context team get pl",
		"run skyctl check, skyctl stop.":               "run skyctl --context team check, skyctl --context team stop.",
		`{"next":"skyctl describe cluster dev"}`:       `{"next":"skyctl --context team describe cluster dev"}`,
		"skyctl config set rke2.cni cilium":            "skyctl --context team config set rke2.cni cilium",
		"skyctl config use-context NAME":               "",
		"skyctl config get-contexts":                   "",
		"skyctl --context lab get clusters":            "",
		"see skyctl help settings":                     "",
		"skyctl installs nothing; skyctl checks again": "",
		"skyctl start-up, and kubectl get nodes":       "",
	} {
		if want == "" {
			want = text
		}
		if got := addContextToCommands(text, "team", root); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got := addContextToCommands(text, "", root); got != text {
			t.Errorf("without --context: %q", got)
		}
	}
}

func TestHintsRepeatTheContextOfTheCommandLine(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.useContext("team")
	in := func(args ...string) []string { return append([]string{"--context", "team"}, args...) }
	p.run(in(createArgs("hinted")...)...).checkOutput(t, 0, "",
		"To watch it: skyctl --context team get cluster hinted -w\n")
	p.awaitRest("hinted")
	p.run(in("pause", "reconcile", "hinted")...).checkOutput(t, 0, // a result on standard output
		"To resume them: skyctl --context team resume reconcile hinted\n", "")
	p.run(in("scale", "cluster", "hinted", "--num_nodes", "2")...).checkOutput(t, 0, "", // a note
		"until you run skyctl --context team resume reconcile hinted\n")
	p.run(in("describe", "cluster", "hinted")...).checkOutput(t, 0, "skyctl --context team resume reconcile hinted", "")
	p.run(in("describe", "snapshot", "none", "--cluster", "hinted")...).checkOutput(t, ExitNotFound, "", // an error
		"to list them: skyctl --context team get snapshots --cluster hinted\n")
	p.run(in("restore", "cluster", "hinted", "--snapshot", "none", "--yes")...).checkOutput(t, ExitUsage, "",
		"skyctl --context team get snapshots") // a failure below a spinner
	var failed errorDocument
	got := p.run(in("describe", "snapshot", "none", "--cluster", "hinted", "-o", "json")...)
	if err := json.Unmarshal([]byte(got.err), &failed); err != nil ||
		!strings.Contains(failed.Error.Message, "skyctl --context team get snapshots") {
		t.Errorf("%v: %q", err, got.err)
	}

	p.run("resume", "reconcile", "hinted").checkOutput(t, 0, "To check it now: skyctl reconcile hinted\n", "")
	other := filepath.Join(p.env["HOME"], "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	p.run(in("--config-dir", other, "pause", "reconcile", "hinted")...).checkOutput(t, 0,
		"To resume them: skyctl resume reconcile hinted\n", "")
	if got := p.run(in("get", "clusters", "--help")...); strings.Contains(got.out, "--context team get") {
		t.Errorf("help has the context: %s", got.out)
	}
}

func TestOutputOfMachinesAndTablesKeepsItsCommands(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t)
	p.newReadyCluster("quoted")
	c := readCluster(t, "quoted")
	if err := world.Store.RecordEvent(t.Context(), api.Event{Cluster: c.Metadata.Name, UID: c.Metadata.UID,
		Type: api.EventNormal, Reason: "Test", Message: "run skyctl reconcile quoted"}); err != nil {
		t.Fatal(err)
	}
	p.useContext("team")
	p.run("--context", "team", "get", "events", "quoted").checkOutput(t, 0, "run skyctl reconcile quoted", "")
}
