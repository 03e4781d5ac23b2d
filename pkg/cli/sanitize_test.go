package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestObjectsCannotControlTheTerminal(t *testing.T) {
	c, now := fixture.NewHostile[api.Cluster](), time.Now()
	failure := &client.OperationFailedError{Failure: c.Status.Failure}
	for what, print := range map[string]func(w io.Writer){
		"get clusters": func(w io.Writer) {
			io.WriteString(w, render.NewClusterTable([]api.Cluster{c}, true, now).String())
		},
		"describe": func(w io.Writer) {
			io.WriteString(w, render.ClusterPage{Cluster: &c, OperationURL: fixture.Hostile,
				KubeconfigPath: fixture.Hostile,
				Events:         fixture.NewHostile[[]api.Event](), Now: now}.String())
		},
		"get events": func(w io.Writer) {
			io.WriteString(w, render.NewEventTable(fixture.NewHostile[[]api.Event](), now).String())
		},
		"get orphans": func(w io.Writer) {
			io.WriteString(w, render.NewOrphanTable(fixture.NewHostile[[]api.Orphan](), false, now).String())
		},
		"a dry run": func(w io.Writer) {
			io.WriteString(w, render.NewPlacementTable(fixture.NewHostile[[]api.Placement](), 3).String())
		},
		"get pools":    func(w io.Writer) { io.WriteString(w, render.NewPoolTable([]api.Cluster{c}, now).String()) },
		"get machines": func(w io.Writer) { io.WriteString(w, render.NewMachineTable([]api.Cluster{c}, now).String()) },
		"a plan of a change": func(w io.Writer) {
			io.WriteString(w, fixture.NewHostile[render.ChangePlan]().String())
		},
		"progress": func(w io.Writer) {
			waiting := c
			waiting.Status.Phase, waiting.Metadata.Generation = api.PhaseReady, waiting.Status.ObservedGeneration+1
			waiting.Status.PausedAt = time.Time{}
			io.WriteString(w, strings.Join(render.ProgressLines(&waiting, now), "\n"))
		},
		"as JSON":      func(w io.Writer) { panicOnError(render.WriteStructured(w, render.AsJSON, c)) },
		"as YAML":      func(w io.Writer) { panicOnError(render.WriteStructured(w, render.AsYAML, c)) },
		"what changed": func(w io.Writer) { io.WriteString(w, strings.Join(render.ChangeLines(nil, &c), "\n")) },
		"a failure":    func(w io.Writer) { printFailureLog(w, failure) },
		"an error": func(w io.Writer) {
			printError(w, errors.Join(errors.New(fixture.Hostile), errors.New(fixture.Hostile)))
		},
		"next commands": func(w io.Writer) { io.WriteString(w, render.CreateCommandLine(&c)) },
	} {
		var b bytes.Buffer
		print(&terminal.SanitizingWriter{To: &b})
		fixture.CheckHarmless(t, what, b.String())
	}
}

func TestJSONKeepsTheDataOfAHostileObject(t *testing.T) {
	in := map[string]string{"name": "a\u202eb\u200bc\u2028d", "more": "tab\tand\nbreak"}
	var b bytes.Buffer
	if err := render.WriteStructured(&terminal.SanitizingWriter{To: &b}, render.AsJSON, in); err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("got %q, %v", out, err)
	}
}
