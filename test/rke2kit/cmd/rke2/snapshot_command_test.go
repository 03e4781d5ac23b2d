package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/config"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/snapshot"
)

func TestCommandsAskForWhatRKE2WouldAsk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("token: x\netcd-snapshot-compress: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		operation, args, want string
	}{
		{"save", "", `{"compress":true,"name":["on-demand"],"operation":"save","retention":0}`},
		{"save", "--name before --dir=/x --snapshot-compress=false",
			`{"compress":false,"dir":"/x","name":["before"],"operation":"save","retention":0}`},
		{"prune", "--snapshot-retention 2", `{"compress":true,"name":["on-demand"],"operation":"prune","retention":2}`},
		{"delete", "one two", `{"compress":true,"name":["one","two"],"operation":"delete"}`},
		{"list", "-o json", `{"compress":true,"operation":"list"}`},
		{"save", "extra", "error: this command does not take any arguments"},
		{"delete", "", "error: no snapshots given for removal"},
		{"list", "--output xml", "error: invalid output format: xml"},
		{"save", "--s3", "error: the kit does not implement --s3: use a release of RKE2 itself"},
		{"save", "--nope", "error: flag provided but not defined: -nope"},
		{"prune", "--snapshot-retention many", `error: snapshot-retention "many": want a number`},
	} {
		args := append([]string{"--config", file}, strings.Fields(c.args)...)
		command, err := parseSnapshotCommand(c.operation, args)
		data, _ := json.Marshal(command.request)
		got := string(data)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.operation, c.args, got, c.want)
		}
	}
}

func TestSnapshotsAreListedOldestFirst(t *testing.T) {
	answer := `{"kind":"List","apiVersion":"v1","metadata":{},"items":[` +
		`{"spec":{"snapshotName":"late","location":"file:///late"},"status":{"size":"20480k",` +
		`"creationTime":"2026-11-02T10:00:00Z"}},` +
		`{"spec":{"snapshotName":"early","location":"file:///early"},"status":{"size":"3518496",` +
		`"creationTime":"2026-11-01T10:00:00Z"}}]}`
	early := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC).Local().Format(time.RFC3339)
	late := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC).Local().Format(time.RFC3339)
	var out bytes.Buffer
	if err := printSnapshots(&out, []byte(answer), ""); err != nil {
		t.Fatal(err)
	}
	want := "Name  Location      Size     Created\nearly file:///early 3518496  " + early +
		"\nlate  file:///late  20480000 " + late + "\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	for format, first := range map[string]string{"json": "{\n    \"kind\": \"List\",\n",
		"yaml": "apiVersion: v1\nitems:\n"} {
		out.Reset()
		if err := printSnapshots(&out, []byte(answer), format); err != nil || !strings.HasPrefix(out.String(), first) {
			t.Errorf("%s: %v, got\n%s", format, err, out.String())
		}
	}
}

func TestSettingsOfTheScheduleHaveRKE2sDefaults(t *testing.T) {
	got, err := newSnapshotOptions(config.Values{})
	want := snapshot.Options{Schedule: "0 */12 * * *", Retention: 5, Name: "etcd-snapshot", Reconcile: 10 * time.Minute}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for key, bad := range map[string]string{"etcd-snapshot-retention": "x", "etcd-disable-snapshots": "maybe",
		"etcd-snapshot-reconcile-interval": "-1s"} {
		if _, err := newSnapshotOptions(config.Values{key: {bad}}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %s: %v", key, bad, err)
		}
	}
}

func TestResetNeedsWhatRKE2Needs(t *testing.T) {
	for _, c := range []struct {
		values config.Values
		server string
		want   string
	}{
		{config.Values{"cluster-reset-restore-path": {"/x"}}, "", "--cluster-reset required"},
		{config.Values{"cluster-reset": {"true"}}, "https://a:9345",
			"cannot perform cluster-reset while server URL is set"},
		{config.Values{"cluster-reset": {"perhaps"}}, "", "want true or false"},
		{config.Values{"cluster-reset": {"true"}, "cluster-reset-restore-path": {"/x"}}, "", ""},
	} {
		var s settings
		err := s.readReset(c.values, c.server)
		if c.want == "" && (err != nil || !s.reset || s.restorePath != "/x") {
			t.Errorf("%v: %+v, %v", c.values, s, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %s", c.values, err, c.want)
		}
	}
}
