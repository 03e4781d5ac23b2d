package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestErrorsAreJSONWithTheirFields(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want []errorFields
	}{
		{&store.NotFoundError{Cluster: "dev"}, []errorFields{{Reason: "NotFound", ExitCode: ExitNotFound,
			Message: `cluster "dev" does not exist`}}},
		{errors.Join(&api.FieldError{Field: "cpus", Value: "x", Want: "a number"}, usageErrorf("no"),
			usageErrorf("no")),
			[]errorFields{
				{Reason: "InvalidSpec", Message: `cpus "x": a number`, Field: "cpus", Value: "x", Want: "a number",
					ExitCode: ExitUsage},
				{Reason: "InvalidRequest", Message: "no", ExitCode: ExitUsage}}},
		{&client.OperationFailedError{Cluster: "dev", Failure: &api.Failure{Step: "launch", Reason: "NoCapacity",
			Message: "none"}}, []errorFields{{Reason: "NoCapacity", Message: "launch: NoCapacity: none",
			Next: "skyctl describe cluster dev", ExitCode: ExitFailed}}},
		{&interruptedError{hint: "The operation continues."}, []errorFields{{Reason: "Interrupted",
			Message: "interrupted", Next: "The operation continues.", ExitCode: ExitInterrupted}}},
		{errors.New("<a>\x1b[2J\x07b\nc"), []errorFields{{Reason: "Failed", Message: "<a>b\nc", ExitCode: ExitFailed}}},
		{&reportedError{errors.New("seen")}, nil},
		{nil, nil},
	} {
		var b bytes.Buffer
		writeErrorDocuments(&b, tt.err)
		if got := readErrorDocuments(t, b.String()); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%v:\n got %+v\nwant %+v", tt.err, got, tt.want)
		}
	}
}

// readErrorDocuments reads the errors of a command; each line has to be one.
func readErrorDocuments(t *testing.T, stderr string) []errorFields {
	t.Helper()
	var all []errorFields
	for line := range strings.Lines(stderr) {
		var document errorDocument
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&document); err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		all = append(all, document.Error)
	}
	return all
}

func TestErrorsOfCommandsWithJSONOutputAreJSON(t *testing.T) {
	for _, tt := range []struct {
		args, reason, field string
		code                int
	}{
		{"get cluster absent -o json", "NotFound", "", ExitNotFound},
		{"get cluster absent -ojson", "NotFound", "", ExitNotFound},
		{"describe cluster absent --output=json", "NotFound", "", ExitNotFound},
		{"get cluster UPPER -o json", "InvalidSpec", "name", ExitUsage},
		{"get clusters -o json --no-such-flag", "InvalidRequest", "", ExitUsage},
		{"get clusters -o json -l =", "InvalidSpec", "selector", ExitUsage},
		{"get clutsers -o json", "InvalidRequest", "", ExitUsage},
		{"get cluster/absent machine/sky-absent-1 -o json", "NotFound", "", ExitNotFound},
	} {
		r := newExternalUser(t).run(strings.Fields(tt.args)...)
		got := readErrorDocuments(t, r.err)
		if len(got) == 0 || r.code != tt.code {
			t.Errorf("%s: exit %d: %s", tt.args, r.code, r.err)
			continue
		}
		for _, e := range got {
			if e.Reason != tt.reason || e.Field != tt.field || e.ExitCode != tt.code || e.Message == "" {
				t.Errorf("%s: %+v", tt.args, e)
			}
		}
	}
	if r := newExternalUser(t).run("get", "cluster", "absent", "-o", "yaml"); strings.HasPrefix(r.err, "{") {
		t.Errorf("-o yaml: %s", r.err)
	}
}
