package embedded

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/test/eventually"
)

func TestOnlyTheListWithoutFilterIsRedirected(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := showOperationsFirst("skyctl", next)
	for path, redirected := range map[string]bool{
		"/": true, "/namespaces/skyctl": true, "/namespaces/skyctl/workflows": true,
		"/namespaces/skyctl/workflows/":             true,
		"/namespaces/skyctl/workflows?query=":       false,
		"/?x=y":                                     false,
		"/namespaces/skyctl/workflows/cluster%2fa/": false,
		"/namespaces/skyctl/schedules":              false,
		"/namespaces/other/workflows":               false,
		"/api/v1/namespaces/skyctl/workflows":       false,
		"/healthz":                                  false,
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if (w.Code == http.StatusFound) != redirected {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// uiListsOperations checks which of many workflows the first page of the Web UI lists.
func uiListsOperations(t *testing.T, c *config.Config) {
	ctx, queue := contextWithin(t, time.Minute), "no-worker"
	temporal, err := temporalClient(ctx, c, clientTLS(t, c.Temporal.TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer temporal.Close()
	ref := api.Ref{Name: "listed", UID: "u1"}
	for _, workflow := range []string{operation.WorkflowSweep, operation.WorkflowScheduleSnapshots,
		operation.WorkflowPlan, operation.WorkflowCheck, operation.WorkflowBringUp} {
		options := client.StartWorkflowOptions{ID: "apart/" + workflow, TaskQueue: queue}
		if _, err := temporal.ExecuteWorkflow(ctx, options, workflow); err != nil {
			t.Fatal(err)
		}
	}
	if err := start.KeepSnapshots(ctx, temporal, queue, operation.KeepSnapshotsInput{Cluster: ref}); err != nil {
		t.Fatal(err)
	}
	if err := start.VerifySnapshots(ctx, temporal, queue); err != nil {
		t.Fatal(err)
	}
	if err := start.Operation(ctx, temporal, queue, ref.Name, operation.WorkflowProvision, "Create listed",
		operation.ProvisionInput{Cluster: ref}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	showOperationsFirst(c.Temporal.Namespace, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	page, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	ours := func(query string) (ids []string) {
		status, body := requestUI(t, c, http.MethodGet, "/api/v1"+page.Path+"?"+query, "", "")
		var list struct {
			Executions []struct {
				Execution struct {
					WorkflowID string `json:"workflowId"`
				} `json:"execution"`
			} `json:"executions"`
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
			t.Fatalf("status %d, %v: %s", status, err, body)
		}
		for _, e := range list.Executions {
			ids = append(ids, e.Execution.WorkflowID)
		}
		slices.Sort(ids)
		return ids
	}
	eventually.Holds(t, "all workflows are listed without the filter", func() bool {
		all := strings.Join(ours(""), " ")
		return strings.Count(all, "apart/") == 5 && strings.Contains(all, "snapshots/listed") &&
			strings.Contains(all, "cluster/listed")
	})
	apart := func(id string) bool { return !strings.HasPrefix(id, "cluster/") }
	if got := ours(page.RawQuery); !slices.Contains(got, "cluster/listed") || slices.ContainsFunc(got, apart) {
		t.Errorf("the first page lists %q", got)
	}
}
