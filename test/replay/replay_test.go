package replay

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/workflows"
)

// paths are the paths of operations with a recorded history.
var paths = []string{
	"provision", "provision-failover", "provision-nowhere", "provision-failed", "provision-again", "provision-kept",
	"provision-on-kept",
	"provision-billing", "provision-billing-kept", "provision-taken",
	"provision-deleted-at-plan", "provision-deleted-at-submit", "provision-deleted-at-await",
	"delete", "delete-after-plan", "delete-after-submit", "delete-after-await", "delete-stumbling", "delete-refused",
	"purge",
	"repair-replace", "repair-head-lost", "repair-refused", "repair-deleted", "repair-keys", "sweep-orphans",
	"provision-under-way", "repair-under-way", "delete-under-way",
	"provision-groups", "bring-up-together", "bring-up-each", "bring-up-gathered",
	"converge-scale-up", "converge-scale-down", "converge-deleted-launching", "converge-replace", "converge-head-lost",
	"converge-refused", "converge-deleted", "converge-keys",
	"converge-update-nodes", "converge-replace-outdated",
	"restore-in-place", "restore-new-server", "restore-new-server-listed", "restore-new-server-no-room",
	"restore-new-machines", "restore-refused", "restore-deleted", "delete-after-restore",
	"restore-state-not-kept", "restore-silent", "restore-server-silent", "restore-api-silent", "restore-foreign",
	"stop", "start", "start-nowhere", "delete-stopped",
	"keep-snapshots", "keep-snapshots-cut", "schedule-snapshots", "verify-snapshots", "verify-snapshots-none-left",
}

var quiet = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

func load(t *testing.T, name string) *history.History {
	t.Helper()
	f, err := os.Open(filepath.Join("histories", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	h, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestCurrentCodeReplaysEveryRecordedHistory(t *testing.T) {
	replayer := sdkworker.NewWorkflowReplayer()
	for _, w := range workflows.All() {
		replayer.RegisterWorkflow(w)
	}
	for _, path := range paths {
		if err := replayer.ReplayWorkflowHistory(quiet, load(t, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	kept, err := filepath.Glob("histories/*.json")
	if err != nil || len(kept) != len(paths) {
		t.Errorf("%d histories are recorded, %d are replayed: %v", len(kept), len(paths), err)
	}
}

func TestDifferentCommandsAreDetected(t *testing.T) {
	replayer := sdkworker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(func(ctx workflow.Context, in operation.ProvisionInput) error {
		if err := workflow.Sleep(ctx, 1); err != nil { // one timer more than in the history
			return err
		}
		return workflows.Provision(ctx, in)
	}, workflow.RegisterOptions{Name: operation.WorkflowProvision})
	if err := replayer.ReplayWorkflowHistory(quiet, load(t, "provision")); err == nil {
		t.Error("an additional timer was not detected")
	}
}

func TestHistoriesContainNothingOfTheirOrigin(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join("histories", path+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{`"` + host, "@" + host, os.TempDir(), "/root", "/home", "PRIVATE KEY", "K10"} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s holds %q", path, word)
			}
		}
		if strings.Contains(string(text), "stackTrace\":\"") {
			t.Errorf("%s holds a stack trace", path)
		}
	}
}
