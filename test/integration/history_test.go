package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/workflows"
)

var update = flag.Bool("update", false, "keep the histories of these runs for test/replay")

// run is one run of an operation.
type run struct {
	id      string
	kind    string
	status  enums.WorkflowExecutionStatus
	history *history.History
}

// runOf returns a run of a workflow id, by default the latest.
func (w *world) runOf(workflow, id string) run {
	w.t.Helper()
	d, err := w.temporal.DescribeWorkflowExecution(w.t.Context(), workflow, id)
	if err != nil {
		w.t.Fatal(err)
	}
	r := run{id: id, kind: d.GetWorkflowExecutionInfo().GetType().GetName(),
		status: d.GetWorkflowExecutionInfo().GetStatus(), history: &history.History{}}
	for events := w.temporal.GetWorkflowHistory(w.t.Context(), workflow, id, false,
		enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		if err != nil {
			w.t.Fatal(err)
		}
		r.history.Events = append(r.history.Events, e)
	}
	return r
}

// runsOf returns all runs of a cluster's operations so far, oldest first.
func (w *world) runsOf(cluster string) []run {
	w.t.Helper()
	return w.runsOfWorkflow(operation.WorkflowID(cluster))
}

// runsOfWorkflow returns the latest run of a workflow id, after those that it continues, oldest first.
func (w *world) runsOfWorkflow(workflow string) []run {
	w.t.Helper()
	var all []run
	for id := w.latest(workflow); id != ""; {
		r := w.runOf(workflow, id)
		all = append([]run{r}, all...)
		id = r.history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
	}
	return all
}

// latest returns the id of the latest run of a workflow id.
func (w *world) latest(workflow string) string {
	w.t.Helper()
	d, err := w.temporal.DescribeWorkflowExecution(w.t.Context(), workflow, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// keep replays a run's history with the current code. With -update it also saves the history for test/replay.
func (w *world) keep(name string, r run) {
	w.t.Helper()
	if r.status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		w.t.Fatalf("the history of %s is incomplete", name)
	}
	replayer := sdkworker.NewWorkflowReplayer()
	for _, w := range workflows.All() {
		replayer.RegisterWorkflow(w)
	}
	if err := replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		r.history); err != nil {
		w.t.Errorf("%s is not deterministic: %v", name, err)
	}
	if !*update {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		w.t.Fatal(err)
	}
	// The SDK names a worker's sticky queue after the machine.
	text := bytes.ReplaceAll(jsonOf(w.t, r.history), []byte(`"`+host+`:`), []byte(`"worker:`))
	text = replaceInPayloads(text, []byte(w.home+"/"), []byte("/state/"))
	if err := os.WriteFile(filepath.Join("..", "replay", "histories", name+".json"), text, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// base64Text is a string in JSON that may be the content of a payload.
var base64Text = regexp.MustCompile(`"[A-Za-z0-9+/]+={0,2}"`)

// replaceInPayloads replaces bytes in JSON, also in its strings that are base64.
func replaceInPayloads(text, old, with []byte) []byte {
	text = bytes.ReplaceAll(text, old, with)
	return base64Text.ReplaceAllFunc(text, func(quoted []byte) []byte {
		plain, err := base64.StdEncoding.DecodeString(string(quoted[1 : len(quoted)-1]))
		if err != nil || !bytes.Contains(plain, old) {
			return quoted
		}
		return []byte(`"` + base64.StdEncoding.EncodeToString(bytes.ReplaceAll(plain, old, with)) + `"`)
	})
}

func TestPathsInPayloadsOfAHistoryAreReplaced(t *testing.T) {
	inJSON := func(path string) string {
		return `{"message":"in ` + path + `snapshots","data":"` +
			base64.StdEncoding.EncodeToString([]byte(`{"message":"no room in `+path+`snapshots"}`)) + `","id":"abcd"}`
	}
	got := replaceInPayloads([]byte(inJSON("/tmp/TestX/001/")), []byte("/tmp/TestX/001/"), []byte("/state/"))
	if want := inJSON("/state/"); string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// jsonOf renders a history with a line for each event.
func jsonOf(t *testing.T, h *history.History) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("{\"events\":[\n")
	for i, e := range h.GetEvents() {
		if i > 0 {
			b.WriteString(",\n")
		}
		line, err := protojson.Marshal(e)
		if err == nil {
			err = json.Compact(&b, line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString("\n]}\n")
	return b.Bytes()
}

// textOf returns all text of a history, with encoded parts also decoded.
func textOf(t *testing.T, h *history.History) string {
	t.Helper()
	raw := jsonOf(t, h)
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	var decode func(any)
	decode = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				decode(inner)
			}
		case []any:
			for _, inner := range v {
				decode(inner)
			}
		case string:
			if plain, err := base64.StdEncoding.DecodeString(v); err == nil {
				text += "\n" + string(plain)
			}
		}
	}
	decode(v)
	return text
}

// needles returns the forms in which a secret could appear: plain, in base64, as lines of JSON, and the secret part of
// a token.
func needles(secret string) []string {
	all := []string{base64.StdEncoding.EncodeToString([]byte(secret))}
	for line := range strings.Lines(secret) {
		_, password, isToken := strings.Cut(line, "::")
		if isToken {
			_, line, _ = strings.Cut(password, ":")
		}
		line = strings.TrimSpace(line)
		if key, value, ok := strings.Cut(line, "-data: "); ok {
			_, line = key, value
		}
		if len(line) > 20 && !strings.HasPrefix(line, "-----") {
			all = append(all, line)
		}
	}
	return all
}

func TestSecretsAreFoundInEveryEncoding(t *testing.T) {
	const secret = "-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA\n-----END KEY-----\n"
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{secret, string(quoted), base64.StdEncoding.EncodeToString([]byte(secret))} {
		if !leaks(text, secret) {
			t.Errorf("not found in %s", text)
		}
	}
	if leaks("-----BEGIN KEY-----", secret) {
		t.Error("found in text without the secret")
	}
}

func leaks(text, secret string) bool {
	for _, n := range needles(secret) {
		if strings.Contains(text, n) {
			return true
		}
	}
	return false
}
